import { describe, expect, test } from 'vitest';
import type { ObjectiveInput } from '../input.js';
import { meanMetrics, mergeMetrics } from '../metrics.js';
import { kto } from './kto.js';

/** One-token rows with these logratios. */
function scored(logratios: readonly number[]) {
  const rows = logratios.length;
  return {
    rows,
    tokens: 1,
    completionMask: new Uint8Array(rows).fill(1),
    policy: { logprobs: Float64Array.from(logratios, (r) => r - 2) },
    reference: { logprobs: new Float64Array(rows).fill(-2) },
  };
}

function rows(desirable: readonly number[], undesirable: readonly number[], mismatched: readonly number[] = [0]) {
  const labels = Uint8Array.from([...desirable.map(() => 1), ...undesirable.map(() => 0)]);
  return {
    ...scored([...desirable, ...undesirable]),
    perRow: { labels },
    batches: { mismatched: scored(mismatched) },
  } satisfies ObjectiveInput;
}

describe('ethayarajh2024 eq 8', () => {
  test('half of the weight at the reference point', () => {
    expect(kto.evaluate(rows([0], [0])).loss).toBe(0.5);
    expect(kto.evaluate(rows([1.5], []), { desirableWeight: 3 }).loss).toBeCloseTo(3 / (1 + Math.exp(0.15)), 15);
    expect(kto.evaluate(rows([2], [2], [1, 3]), { desirableWeight: 1.2, undesirableWeight: 0.8 }).loss).toBe(0.5);
  });

  test('1 - σ of the gain, on its own side', () => {
    // beta (r - z0) = log 3, σ = 3/4
    expect(kto.evaluate(rows([Math.log(3) + 1], [], [1]), { beta: 1 }).loss).toBeCloseTo(0.25, 15);
    expect(kto.evaluate(rows([], [1 - Math.log(3)], [1]), { beta: 1 }).loss).toBeCloseTo(0.25, 15);
  });

  test('gradient: w beta σ(v) σ(-v) / rows, down on desirable, up on undesirable', () => {
    const { logprobs } = kto.evaluate(rows([0], [0]), { beta: 0.4, desirableWeight: 2 }).cotangents;
    expect([...logprobs!]).toEqual([expect.closeTo(-0.1, 15), expect.closeTo(0.05, 15)]);
  });
});

describe('the reference point', () => {
  const pointOf = (mismatched: readonly number[]) =>
    kto.evaluate(rows([0], [0], mismatched)).details!.referencePoint![0];

  test('is the mean of the mismatched logratios, at least 0, in nats', () => {
    expect(pointOf([1, 3])).toBe(2);
    expect(pointOf([1, -3])).toBe(0);
    expect(pointOf([])).toBe(0);
  });

  test('an empty mismatched completion counts with 0', () => {
    const input = rows([0], [0], [4, 5]);
    const mismatched = { ...input.batches.mismatched, completionMask: Uint8Array.of(1, 0) };
    expect(kto.evaluate({ ...input, batches: { mismatched } }).details!.referencePoint![0]).toBe(2);
  });

  test('is logged once a step, however it is split', () => {
    const parts = [rows([1], [], [2]), rows([], [3, 4], [2])].map((part) => kto.evaluate(part).metrics);
    expect(meanMetrics(mergeMetrics(parts)).kl).toBe(2);
  });

  test('without mismatched rows there is none, which is said', () => {
    const { batches: _, ...bare } = rows([0], [0]);
    expect(() => kto.evaluate(bare)).toThrowErrorMatchingInlineSnapshot(
      `[ObjectiveError: objective \`kto\`, \`batches.mismatched\`: expected a batch, got nothing.]`,
    );
  });
});

test('metrics: both sides, and the margin of their means over the step', () => {
  const { metrics } = kto.evaluate(rows([4], [1, 2]), { beta: 0.5 });
  expect(meanMetrics(metrics)).toEqual({
    'rewards/chosen': 2,
    'rewards/rejected': 0.75,
    'rewards/margins': 1.25,
    'logps/chosen': 2,
    'logps/rejected': -0.5,
    kl: 0,
  });
  expect(meanMetrics(kto.evaluate(rows([4], [])).metrics)).not.toHaveProperty('rewards/margins');
});

test('a label that is neither 0 nor 1 is refused', () => {
  const input = { ...rows([0], [0]), perRow: { labels: Uint8Array.of(1, 2) } };
  expect(() => kto.evaluate(input)).toThrowErrorMatchingInlineSnapshot(
    `[ObjectiveError: objective \`kto\`, \`perRow.labels\`, row 1: expected 0 or 1, got 2.]`,
  );
});
