import { describe, expect, test } from 'vitest';
import { oneTokenRows } from '../testing/rows-of.js';
import { brio } from './brio.js';

/** Three candidates, out of order, and a gold answer; log-probabilities are scores. */
const input = oneTokenRows({
  logprobs: [-3, -1, -2, -1.5],
  perRow: { ranks: [2, 1, 0, 0], external: [0, 0, 0, 1] },
});
const bare = { rankWeight: 1, nllWeight: 0, lengthExponent: 1, margin: 0.5 };

describe('liu2022', () => {
  // Best first: -2, -1, -3. At distance 1: -1 + 2 + 0.5 = 1.5 and max(0, -3 + 1 + 0.5) = 0; at distance 2: max(0, -3 + 2 + 1) = 0.
  test('margins grow with the distance; pairs of one distance are averaged, or all summed', () => {
    expect(brio.evaluate(input, bare).loss).toBeCloseTo(0.75, 15);
    expect(brio.evaluate(input, { ...bare, reduction: 'pair-sum' }).loss).toBeCloseTo(1.5, 15);
  });

  test('one up, one down for each active pair', () => {
    const { logprobs } = brio.evaluate(input, { ...bare, reduction: 'pair-sum' }).cotangents;
    expect([...logprobs!]).toEqual([0, 1, -1, 0].map((slope) => expect.closeTo(slope, 15)));
  });

  test('the pair at the largest distance weighs as much as all neighbours', () => {
    const far = brio.evaluate(input, { ...bare, margin: 1 });
    // Distance 1: (2 + 0)/2; distance 2: (-3 + 2 + 2)/1.
    expect(far.loss).toBeCloseTo(1 + 1, 15);
  });

  test('the gold answer against every candidate, and its likelihood', () => {
    const { loss } = brio.evaluate(input, { ...bare, margin: 0, rankWeight: 2, goldWeight: 0.5, nllWeight: 0.1 });
    // Ranking (-1 + 2)/2; gold 0.5 (-1 + 1.5)/3; NLL 1.5.
    expect(loss).toBeCloseTo(2 * (0.5 + 0.25 / 3) + 0.15, 15);
  });
});

test('scores are divided by a power of the length; an empty completion scores 0', () => {
  const long = {
    rows: 2,
    tokens: 4,
    completionMask: Uint8Array.of(1, 1, 1, 1, 0, 0, 0, 0),
    policy: { logprobs: Float64Array.of(-1, -2, -1, -4, 9, 9, 9, 9) },
    perRow: { groups: Int32Array.of(0, 0), ranks: Int32Array.of(0, 1), external: Uint8Array.of(0, 0) },
  };
  expect([...brio.evaluate(long, { lengthExponent: 2, addedLength: 0, scale: 2 }).details!.scores!]).toEqual([-1, 0]);
});
