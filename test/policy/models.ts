import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Cotangents,
  Engine,
  type LoraOptions,
  modelTypes,
  type ScoreName,
  type TokenScores,
  type TokenTree,
} from '@kelpie/policy';
import { ropeTypes } from '../../packages/policy/src/files/rope-config.js';

/** A model small enough for float64 and finite differences, with one thing or two that others lack. */
export interface TinyModel {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Sequences longer than this take other angles than shorter ones. */
  readonly border?: number;
  /** ONNX Runtime has no kernel for one of its operators in float64. */
  readonly float32Only?: boolean;
}

export const VOCABULARY = 19;

const llama = {
  model_type: 'llama',
  vocab_size: VOCABULARY,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 100,
  initializer_range: 0.4,
  tie_word_embeddings: false,
};

const gpt2 = {
  model_type: 'gpt2',
  vocab_size: VOCABULARY,
  n_embd: 16,
  n_layer: 2,
  n_head: 2,
  n_positions: 64,
  initializer_range: 0.4,
};

/** Parameters of each rope type; the length-dependent ones change at 9 tokens, amid the completions of the tests. */
const ropes: Readonly<Record<string, Pick<TinyModel, 'config' | 'border'>>> = {
  default: { config: {} },
  linear: { config: { rope_scaling: { rope_type: 'linear', factor: 3 } } },
  dynamic: { config: { max_position_embeddings: 9, rope_scaling: { type: 'dynamic', factor: 2 } }, border: 9 },
  yarn: { config: { rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 } } },
  longrope: {
    config: {
      original_max_position_embeddings: 9,
      rope_scaling: { rope_type: 'longrope', short_factor: [1, 1.5], long_factor: [2, 5] },
    },
    border: 9,
  },
  llama3: {
    config: {
      rope_parameters: {
        rope_type: 'llama3',
        rope_theta: 500,
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 32,
      },
    },
  },
  proportional: {
    config: { rope_parameters: { rope_type: 'proportional', rope_theta: 100, partial_rotary_factor: 0.5 } },
  },
};

const variants: Readonly<Record<string, readonly TinyModel[]>> = {
  llama: [
    ...ropeTypes.map((type): TinyModel => {
      const rope = ropes[type];
      if (rope === undefined)
        throw new Error(`rope type \`${type}\` has no tiny model: add one to test/policy/models.ts`);
      return { name: `llama ${type}`, ...rope, config: { ...llama, ...rope.config } };
    }),
    { name: 'llama tied', config: { ...llama, tie_word_embeddings: true } },
    {
      name: 'llama biases, one key-value head',
      config: { ...llama, attention_bias: true, mlp_bias: true, num_key_value_heads: 1, hidden_act: 'gelu_new' },
    },
    { name: 'llama heads of 32', config: { ...llama, head_dim: 32 } },
    { name: 'llama wide heads, no groups', config: { ...llama, head_dim: 6, num_key_value_heads: 4 } },
  ],
  gpt2: [
    { name: 'gpt2', config: gpt2 },
    {
      name: 'gpt2 untied, scaled by layer',
      config: { ...gpt2, tie_word_embeddings: false, scale_attn_by_inverse_layer_idx: true, n_inner: 24 },
    },
    { name: 'gpt2 heads of 32', config: { ...gpt2, n_embd: 64, n_head: 2, initializer_range: 0.15 } },
    { name: 'gpt2 exact GELU', config: { ...gpt2, activation_function: 'gelu' }, float32Only: true },
    { name: 'gpt2 unscaled attention', config: { ...gpt2, scale_attn_weights: false, activation_function: 'silu' } },
  ],
};

/** At least one of every architecture that there is. */
export const tinyModels: readonly TinyModel[] = modelTypes().flatMap((type) => {
  const found = variants[type];
  if (found === undefined) throw new Error(`\`${type}\` has no tiny model: add one to test/policy/models.ts`);
  return found;
});

export const SEED = Number(process.env.KELPIE_SEED ?? 20231);

/** Seeded numbers in [0, 1), a stream for each purpose (mulberry32 over a hash of both). */
export function randomOf(purpose: string, seed = SEED): () => number {
  let state = seed >>> 0;
  for (const character of purpose) state = Math.imul(state ^ character.charCodeAt(0), 0x01000193) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function randomIds(random: () => number, length: number): number[] {
  return Array.from({ length }, () => Math.floor(random() * VOCABULARY));
}

const scratch = mkdtempSync(join(tmpdir(), 'kelpie-policy-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
let files = 0;

export function scratchFile(name: string): string {
  return join(scratch, `${files++}-${name}`);
}

/** A model's config.json in a file of its own. */
export function writeConfig({ config }: Pick<TinyModel, 'config'>): string {
  const file = scratchFile('config.json');
  writeFileSync(file, JSON.stringify(config));
  return file;
}

export const allScores: readonly ScoreName[] = ['logprobs', 'entropy', 'forwardKl', 'reverseKl', 'logSumSquares'];

/** Divergences that have no part in `allScores`: some of each family, over the range of its number. */
export const divergences: readonly ScoreName[] = [
  ...(['js', 'pearsonChi2', 'halfChi2PlusKl', 'squaredHellinger', 'neymanChi2', 'totalVariation'] as const),
  ...(['alpha(0.3)', 'alpha(0.9)', 'jsd(0.1)', 'skewForwardKl(0.1)', 'skewReverseKl(0.7)'] as const),
];

export interface TinyOptions {
  readonly dtype?: 'float32' | 'float64';
  readonly lora?: LoraOptions;
}

/**
 * A policy that has taken one large step away from its start, the same in either arithmetic: biases and B matrices are
 * no longer zero, norms no longer one, and the reference is another model.
 */
export async function openTiny(model: TinyModel, { dtype = 'float64', lora }: TinyOptions = {}): Promise<Engine> {
  const engine = await Engine.open({
    init: { config: writeConfig(model), seed: SEED },
    dtype,
    threads: 1,
    keepReference: true,
    ...(lora === undefined ? {} : { lora }),
  });
  await engine.optimizer({ maxGradNorm: 0, eps: 1e-3 });
  const random = randomOf('warm-up');
  const { scores, pullback } = await engine.vjp({
    trees: [row(randomIds(random, 8)), row(randomIds(random, 8))],
    scores: ['logprobs'],
  });
  await pullback({ logprobs: Float64Array.from(scores.logprobs!, () => random() - 0.5) });
  await engine.step(0.1);
  return engine;
}

export const row = (ids: readonly number[], scoreFrom = 1): TokenTree => ({
  trunk: [],
  branches: [{ ids, scoreFrom }],
});

/** A number for each scored token of each score, which depends on its row and column alone. */
export function cotangentsOf(scores: TokenScores, names: readonly ScoreName[] = allScores): Cotangents {
  return Object.fromEntries(
    names.map((name) => {
      const values = Array.from({ length: scores.rows }, (_, r) => {
        const random = randomOf(`cotangent/${name}/${r}`);
        return Array.from(
          { length: scores.tokens },
          (_, t) => (random() - 0.5) * scores.completionMask[r * scores.tokens + t]!,
        );
      });
      return [name, Float64Array.from(values.flat())];
    }),
  );
}

export type Gradients = Awaited<ReturnType<Engine['gradients']>>;

/** What was accumulated, which is then cleared: a step of no length. */
export async function takeGradients(engine: Engine): Promise<Gradients> {
  const gradients = await engine.gradients();
  await engine.step(0);
  return gradients;
}

export async function scoresAndGradients(
  engine: Engine,
  trees: readonly TokenTree[],
  options: { readonly scores?: readonly ScoreName[]; readonly temperature?: number } = {},
): Promise<{ scores: TokenScores; loss: number; gradients: Gradients }> {
  const { scores: names = allScores, temperature = 1 } = options;
  const { scores, pullback } = await engine.vjp({ trees, scores: names, temperature });
  const cotangents = cotangentsOf(scores, names);
  await pullback(cotangents);
  return { scores, loss: lossOf(scores, cotangents), gradients: await takeGradients(engine) };
}

/** The loss whose cotangents these are: it is linear in the scores. */
export function lossOf(scores: TokenScores, cotangents: Cotangents): number {
  return (Object.keys(cotangents) as ScoreName[]).reduce(
    (loss, name) => loss + cotangents[name]!.reduce((sum, c, i) => sum + c * scores[name]![i]!, 0),
    0,
  );
}

export function normOf(x: Float64Array): number {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
}

/** Largest distance of two lists of numbers; NaN if either holds one, infinite if they differ in length. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i]! - b[i]!);
    if (!(d <= largest)) largest = d;
    if (Number.isNaN(d)) return d;
  }
  return largest;
}

/** Largest distance of two sets of gradients, each tensor's in units of its norm (at least 1). */
export function gradientDistance(a: Gradients, b: Gradients, floor = 1): number {
  if ([...a.keys()].join() !== [...b.keys()].join()) return Number.POSITIVE_INFINITY;
  return Math.max(
    ...[...a].map(([name, { data }]) => distance(data, b.get(name)!.data) / Math.max(floor, normOf(data))),
  );
}
