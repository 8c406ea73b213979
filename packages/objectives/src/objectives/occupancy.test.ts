import { describe, expect, test } from 'vitest';
import { certify } from '../certify/index.js';
import { occupancy } from './occupancy.js';

/** One completion of two tokens, of which the policy's logratio is `r` and its log-importance `i`. */
function row(r: number, i: number) {
  return {
    rows: 1,
    tokens: 2,
    completionMask: Uint8Array.of(1, 1),
    policy: { logprobs: Float64Array.of(-1, -2) },
    reference: { logprobs: Float64Array.of(-1 - r, -2) },
    old: { logprobs: Float64Array.of(-1, -2 - i) },
  };
}

describe('laidlaw2024, importance-corrected', () => {
  const [r, i] = [0.7, -0.2];
  test.each([
    ['kl', r + Math.exp(-r) - 1, r],
    ['chi2', Math.exp(r) + Math.exp(-r) - 2, 2 * Math.expm1(r)],
    ['tv', (1 - Math.exp(-r)) / 2, 0.5],
  ] as const)('%s by hand', (divergence, value, slope) => {
    const { loss, cotangents, details } = occupancy.evaluate(row(r, i), { divergence, weight: 3 });
    expect(loss).toBeCloseTo(3 * Math.exp(i) * value, 13);
    expect(details!.values![0]).toBeCloseTo(Math.exp(i) * value, 13);
    expect(cotangents.logprobs![0]).toBeCloseTo(3 * Math.exp(i) * slope, 13);
    expect(cotangents.logprobs![1]).toBe(cotangents.logprobs![0]);
  });

  test('on policy no old log-probabilities are read', () => {
    const { old: _, ...fresh } = row(0.7, 0);
    const { loss, cotangents } = occupancy.evaluate(fresh, { onPolicy: true });
    const given = occupancy.evaluate(row(0.7, 0));
    expect(loss).toBe(given.loss);
    expect(cotangents).toEqual(given.cotangents);
    expect(() => occupancy.evaluate(fresh)).toThrow(/old.logprobs/);
  });

  test('the clip bounds the slope and is counted', () => {
    const { metrics, cotangents } = occupancy.evaluate(row(12, 0), { weight: 1 });
    expect(metrics['occupancy/clipped_fraction']).toEqual({ sum: 1, count: 1 });
    expect(cotangents.logprobs![0]).toBeCloseTo(2 * Math.expm1(10), 6);
  });

  test('descends what it names', () => {
    const { checks } = certify(occupancy);
    const estimator = checks.find(({ name }) => name === 'estimator')!;
    expect(estimator, estimator.text).toMatchObject({ passed: true });
    expect(estimator.bound).toBe(1e-9);
  });

  test('wrong options are refused', () => {
    expect(() => occupancy.evaluate(row(0, 0), { weight: -1 })).toThrow(/`weight`/);
    expect(() => occupancy.evaluate(row(0, 0), { divergence: 'sqrt-chi2' as 'chi2' })).toThrow(/`divergence`/);
  });
});
