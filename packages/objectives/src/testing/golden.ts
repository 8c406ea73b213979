import type { ObjectiveInput } from '../input.js';

/** A tensor of a golden file; numbers that are not finite are strings. */
export interface GoldenTensor {
  readonly shape: readonly number[];
  readonly data: readonly (number | 'NaN' | 'Infinity' | '-Infinity')[];
}

export type GoldenBatch = Readonly<Record<string, GoldenTensor>>;

export interface GoldenCase {
  readonly id: string;
  readonly batch: string;
  readonly variant: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly expected: Readonly<Record<string, unknown>> & { readonly loss: number };
  readonly grads: Readonly<Record<string, GoldenTensor>>;
  readonly tags: readonly string[];
}

export interface GoldenFile {
  readonly conventions: readonly string[];
  readonly batches: Readonly<Record<string, GoldenBatch>>;
  readonly cases: readonly GoldenCase[];
}

/** Two [pairs, tokens] tensors as one [2 pairs, tokens], chosen above rejected, the narrower one widened by 0. */
export function interleaved(chosen: GoldenTensor, rejected: GoldenTensor): Float64Array {
  const pairs = chosen.shape[0]!;
  const tokens = Math.max(chosen.shape[1]!, rejected.shape[1]!);
  const values = new Float64Array(2 * pairs * tokens);
  for (let row = 0; row < 2 * pairs; row++) {
    const { shape, data } = row % 2 === 0 ? chosen : rejected;
    const from = Math.floor(row / 2) * shape[1]!;
    values.set(data.slice(from, from + shape[1]!).map(Number), row * tokens);
  }
  return values;
}

/** Tensors `chosen_logps`, `chosen_ref_logps`, `chosen_mask` and their rejected counterparts, as an objective's input. */
export function goldenPairs(batch: GoldenBatch): ObjectiveInput {
  const both = (name: string) => interleaved(batch[`chosen_${name}`]!, batch[`rejected_${name}`]!);
  const completionMask = Uint8Array.from(both('mask'));
  const rows = 2 * batch.chosen_logps!.shape[0]!;
  return {
    rows,
    tokens: completionMask.length / rows,
    completionMask,
    policy: { logprobs: both('logps') },
    reference: { logprobs: both('ref_logps') },
  };
}

/** The largest |a - b| / (1e-12 + 1e-9 |b|): at most 1 where the golden values are met. */
export function goldenError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  return Math.max(
    0,
    ...Array.from(actual, (value, at) => {
      const wanted = expected[at]!;
      const error = Math.abs(value - wanted) / (1e-12 + 1e-9 * Math.abs(wanted));
      return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
    }),
  );
}
