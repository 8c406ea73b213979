import { describe, expect, test } from 'vitest';
import { meanMetrics } from '../metrics.js';
import { pairsOf, tableOf } from '../testing/index.js';
import { dpo } from './dpo.js';
import { ldDpo } from './ld-dpo.js';

describe('liu2024 eq 9 and 10', () => {
  const input = pairsOf([[1, 2, 4], [1]]);

  test('tokens beyond the shorter side count alpha times', () => {
    const { loss, cotangents, details } = ldDpo.evaluate(input, { beta: 1, alpha: 0.5 });
    // Δ: 1 + 0.5 (2 + 4) and 1
    expect(loss).toBeCloseTo(Math.log1p(Math.exp(-3)), 14);
    const slope = 1 / (1 + Math.exp(3));
    expect(tableOf(cotangents.logprobs!, input)).toEqual([
      [-slope, -slope / 2, -slope / 2].map((value) => expect.closeTo(value, 14)),
      [expect.closeTo(slope, 14), 0, 0],
    ]);
    expect(tableOf(details!.tokenWeights!, input)).toEqual([
      [1, 0.5, 0.5],
      [1, 0, 0],
    ]);
  });

  test('alpha 1: dpo; alpha 0: both sides cut to one length', () => {
    expect(ldDpo.evaluate(input, { alpha: 1 }).loss).toBe(dpo.evaluate(input).loss);
    expect(ldDpo.evaluate(input, { alpha: 0 }).loss).toBe(dpo.evaluate(pairsOf([[1], [1]])).loss);
  });

  test('logged rewards and log-probabilities carry the weights, as in TRL', () => {
    const metrics = meanMetrics(ldDpo.evaluate(input, { beta: 1 }).metrics);
    expect(metrics['rewards/chosen']).toBe(4);
    // Log-probabilities -1, 0, 2
    expect(metrics['logps/chosen']).toBe(-1 + 0.5 * (0 + 2));
  });

  test('an empty side shares no length: all of the other counts alpha times', () => {
    expect(tableOf(ldDpo.evaluate(pairsOf([[1, 2], []])).details!.tokenWeights!, { tokens: 2 })).toEqual([
      [0.5, 0.5],
      [0, 0],
    ]);
  });
});
