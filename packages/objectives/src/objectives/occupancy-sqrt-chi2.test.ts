import { expect, test } from 'vitest';
import { occupancySqrtChi2 } from './occupancy-sqrt-chi2.js';

/** One-token completions with these logratios, drawn from the policy itself. */
function rows(...logratios: number[]) {
  const logprobs = Float64Array.from(logratios, () => -2);
  return {
    rows: logratios.length,
    tokens: 1,
    completionMask: new Uint8Array(logratios.length).fill(1),
    policy: { logprobs },
    reference: { logprobs: logprobs.map((logprob, row) => logprob - logratios[row]!) },
    old: { logprobs },
  };
}

test('laidlaw2024 theorem 5.1: the root of the mean, by hand', () => {
  const { loss, cotangents } = occupancySqrtChi2.evaluate(rows(0.5, -0.25), { weight: 2 });
  const chi2 = [0.5, -0.25].reduce((sum, r) => sum + Math.exp(r) + Math.exp(-r) - 2, 0) / 2;
  expect(loss).toBeCloseTo(2 * Math.sqrt(chi2), 14);
  expect(cotangents.logprobs![0]).toBeCloseTo(Math.expm1(0.5) / Math.sqrt(chi2), 13);
  expect(cotangents.logprobs![1]).toBeCloseTo(Math.expm1(-0.25) / Math.sqrt(chi2), 13);
});

test('near the reference the pull keeps its size; at it there is none', () => {
  const near = occupancySqrtChi2.evaluate(rows(1e-6), { weight: 1 });
  expect(near.cotangents.logprobs![0]).toBeCloseTo(1, 5);
  const at = occupancySqrtChi2.evaluate(rows(0, 0));
  expect(at.loss).toBe(0);
  expect([...at.cotangents.logprobs!]).toEqual([0, 0]);
});

test('wrong options are refused', () => {
  expect(() => occupancySqrtChi2.evaluate(rows(0), { clip: 301 })).toThrow(/`clip`/);
});
