import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine, type OpenOptions, type Policy, treeOf } from '@kelpie/policy';
import { afterAll } from 'vitest';
import type { Example } from '../rows.js';
import type { TrainOptionsInput } from '../train-options.js';

/** A folder that is gone when the tests of the file are done. */
export function scratch(): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'kelpie-runner-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (name) => join(folder, name);
}

const config = {
  model_type: 'llama',
  vocab_size: 24,
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
};

/** A model of 2 layers and 24 tokens with seeded random weights. */
export function tinyPolicy(folder: string, options: Partial<OpenOptions> = {}): Promise<Engine> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify(config));
  return Engine.open({ init: { config: file, seed: 1 }, threads: 1, keepReference: true, ...options });
}

/** A GPT-2 whose learned positions hold `context` tokens. */
export function tinyGpt2(folder: string, context: number): Promise<Engine> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'config.json');
  const sizes = { vocab_size: 24, n_embd: 16, n_layer: 1, n_head: 2, n_positions: context };
  writeFileSync(file, JSON.stringify({ model_type: 'gpt2', ...sizes }));
  return Engine.open({ init: { config: file, seed: 1 }, threads: 1, keepReference: true });
}

/** A policy with some methods done otherwise. */
export function altered(policy: Policy, methods: Partial<Policy>): Policy {
  return new Proxy(policy, {
    get(target, key) {
      const own = Reflect.get(methods, key) ?? Reflect.get(target, key, target);
      return typeof own === 'function' ? own.bind(target) : own;
    },
  });
}

/** Pairs whose chosen completion likes small ids and whose rejected one likes large ones; lengths differ. */
export function tinyPairs(count: number, first = 0): Example[] {
  return Array.from({ length: count }, (_, n) => {
    const i = first + n;
    const prompt = [1, 2 + (i % 5), 7 + (i % 3), ...(i % 2 === 0 ? [3, 4] : [])];
    const side = (base: number, length: number) => Array.from({ length }, (_, t) => base + ((i * 3 + t * 5) % 6));
    const scoreFrom = prompt.length;
    const sequences = [side(4, 2 + (i % 4)), side(16, 2 + ((i * 3) % 5))].map((ids) => ({
      ids: [...prompt, ...ids],
      scoreFrom,
    }));
    return { id: `pair-${i}`, tree: treeOf(sequences) };
  });
}

/** Only the chosen side. */
export function tinyTexts(count: number, first = 0): Example[] {
  return tinyPairs(count, first).map(({ id, tree: { trunk, branches } }) => ({
    id,
    tree: treeOf([{ ids: [...trunk, ...branches[0]!.ids], scoreFrom: branches[0]!.scoreFrom }]),
  }));
}

export const tinyOptions: TrainOptionsInput = {
  learningRate: 1e-2,
  schedule: 'constant',
  batchSize: 8,
  epochs: 2,
  samplePrompts: 3,
  sampleTokens: 5,
  evaluateEvery: 2,
};
