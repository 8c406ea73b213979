import { describe, expect, test } from 'vitest';
import { doublyRobust } from './doubly-robust.js';

/** A completion of the data whose logratio is `r`, and one of the policy, each one token. */
function rows(r: number, { label = 1, g = 0.7, own = 0.6, k = 0.2 } = {}) {
  return {
    rows: 2,
    tokens: 1,
    completionMask: Uint8Array.of(1, 1),
    policy: { logprobs: Float64Array.of(-2, -1) },
    reference: { logprobs: Float64Array.of(-2 - r, -1 - k) },
    perRow: {
      external: Uint8Array.of(1, 0),
      labels: Uint8Array.of(label, 0),
      rewards: Float64Array.of(g, own),
    },
  };
}

describe('xu2025', () => {
  test('both terms and the KL by hand', () => {
    const { loss, cotangents } = doublyRobust.evaluate(rows(0.5), { beta: 0.3 });
    const k3 = Math.exp(-0.2) - 1 + 0.2;
    expect(loss).toBeCloseTo(2 * Math.exp(0.5) * 0.3 + 0.1 + 0.3 * k3, 13);
    expect(cotangents.logprobs![0]).toBeCloseTo(-Math.exp(0.5) * 0.3, 13);
    expect(cotangents.logprobs![1]).toBeCloseTo(-0.1 + 0.3 * (1 - Math.exp(-0.2)), 13);
  });

  test('a preference model that says what happened leaves nothing to correct', () => {
    expect(doublyRobust.evaluate(rows(0.5, { g: 1 })).cotangents.logprobs![0]).toBe(0);
    expect(doublyRobust.evaluate(rows(0.5, { g: 0.25, label: 0 })).cotangents.logprobs![0]).toBeGreaterThan(0);
  });

  test('the ratio is held on both sides', () => {
    const ratio = (r: number) => doublyRobust.evaluate(rows(r), { ratioBound: 4 }).details!.ratios![0];
    expect(ratio(9)).toBeCloseTo(4, 13);
    expect(ratio(-9)).toBeCloseTo(0.25, 13);
    expect(ratio(1)).toBeCloseTo(Math.E, 13);
  });

  test('k2 in place of k3', () => {
    const { cotangents } = doublyRobust.evaluate(rows(0, { own: 0.5 }), { beta: 1, klEstimator: 'k2' });
    expect(cotangents.logprobs![1]).toBeCloseTo(0.2, 13);
  });

  test('what was not judged has no advantage', () => {
    const { cotangents } = doublyRobust.evaluate(rows(0, { g: Number.NaN, own: Number.NaN }), { beta: 0 });
    expect([...cotangents.logprobs!].map(Math.abs)).toEqual([0, 0]);
  });

  test('wrong options are refused', () => {
    expect(() => doublyRobust.evaluate(rows(0), { ratioBound: 0.5 })).toThrow(/`ratioBound`/);
  });
});
