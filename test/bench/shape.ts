import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OpenOptions } from '@kelpie/policy';
import { shared } from './peers.js';
import { runForJson } from './processes.js';

/** A Llama. Without `ffn` it is 8/3 of the hidden size, to the next 32. */
export interface Shape {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads?: number;
  readonly ffn?: number;
  readonly vocabulary: number;
  readonly positions: number;
}

/** 41.7M parameters with the vocabulary of phi-3-mini. */
export const shape42M: Shape = { hidden: 512, layers: 8, heads: 8, vocabulary: 32064, positions: 2048 };

export type Start = Required<Pick<OpenOptions, 'model'>> | Required<Pick<OpenOptions, 'init'>>;

/** Seeded weights of our own, from a config written into `folder`. */
export function ourStart(folder: string, shape: Shape): Start {
  mkdirSync(folder, { recursive: true });
  const config = join(folder, 'config.json');
  writeFileSync(config, JSON.stringify(configOf(shape)));
  return { init: { config, seed: 0 } };
}

export function configOf({ hidden, layers, heads, kvHeads = heads, ffn, vocabulary, positions }: Shape) {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    intermediate_size: ffn ?? Math.round((hidden * 8) / 3 / 32) * 32,
    vocab_size: vocabulary,
    max_position_embeddings: positions,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    tie_word_embeddings: true,
    initializer_range: 0.02,
    bos_token_id: 1,
    eos_token_id: 2,
  };
}

/**
 * A start with a tokenizer, in `folder`: where the peer's Python is, weights that it wrote, so that both train the same
 * ones; else our own.
 */
export async function startWithTokenizer(
  folder: string,
  shape: Shape,
  tokenizer: string,
  python: string | undefined,
): Promise<Start> {
  const from = shared(`tokenizers/${tokenizer}`);
  if (python === undefined) {
    const start = ourStart(folder, shape);
    for (const name of readdirSync(from).filter((name) => /^(tokenizer|special_tokens)/.test(name))) {
      copyFileSync(join(from, name), join(folder, name));
    }
    return start;
  }
  return startByPeer(folder, shape, python, ['--tokenizer', from]);
}

/** Weights that the peer wrote. */
export async function startByPeer(
  folder: string,
  shape: Shape,
  python: string,
  options: readonly string[] = [],
): Promise<Required<Pick<OpenOptions, 'model'>>> {
  const { hidden, layers, heads, vocabulary, positions } = shape;
  const sizes = { hidden, layers, heads, vocab: vocabulary, positions };
  const flags = Object.entries(sizes).flatMap(([name, size]) => [`--${name}`, String(size)]);
  // The script prints no JSON: an interpreter that calls it and then does.
  const code =
    'import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__"); print("{}")';
  await runForJson(python, ['-c', code, shared('bench/make_shape.py'), folder, ...flags, ...options]);
  return { model: folder };
}
