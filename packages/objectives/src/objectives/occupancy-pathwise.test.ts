import { describe, expect, test } from 'vitest';
import { meanMetrics } from '../metrics.js';
import { occupancyPathwise } from './occupancy-pathwise.js';

/** One-token completions with these logratios. */
function rows(...logratios: number[]) {
  const logprobs = Float64Array.from(logratios, () => -2);
  return {
    rows: logratios.length,
    tokens: 1,
    completionMask: new Uint8Array(logratios.length).fill(1),
    policy: { logprobs },
    reference: { logprobs: logprobs.map((logprob, row) => logprob - logratios[row]!) },
  };
}

const weights = { klWeight: 0, chi2Weight: 0, sqrtChi2Weight: 0 };

describe('laidlaw2024, as published', () => {
  const [r, s] = [0.5, -0.25];
  const kl = (r + Math.expm1(-r) + s + Math.expm1(-s)) / 2;
  const chi2 = (Math.expm1(r) + Math.expm1(-r) + Math.expm1(s) + Math.expm1(-s)) / 2;

  test('values', () => {
    expect(occupancyPathwise.evaluate(rows(r, s), { ...weights, klWeight: 2 }).loss).toBeCloseTo(2 * kl, 14);
    expect(occupancyPathwise.evaluate(rows(r, s), { ...weights, chi2Weight: 2 }).loss).toBeCloseTo(2 * chi2, 14);
    const { loss, metrics } = occupancyPathwise.evaluate(rows(r, s));
    expect(loss).toBeCloseTo(0.0008 * Math.sqrt(chi2), 14);
    expect(meanMetrics(metrics)).toMatchObject({ 'occupancy/ratio_clip_fraction': 0 });
    expect(meanMetrics(metrics)['occupancy/kl']).toBeCloseTo(kl, 14);
  });

  test('slopes', () => {
    const slope = (options: object) =>
      occupancyPathwise.evaluate(rows(r, s), { ...weights, ...options }).cotangents.logprobs![0];
    expect(slope({ klWeight: 1 })).toBeCloseTo((1 - Math.exp(-r)) / 2, 14);
    expect(slope({ chi2Weight: 1 })).toBeCloseTo((Math.exp(r) - Math.exp(-r)) / 2, 14);
    expect(slope({ sqrtChi2Weight: 1 })).toBeCloseTo((Math.exp(r) - Math.exp(-r)) / 4 / Math.sqrt(chi2), 14);
  });

  test('shares beyond the clip leave out those on it', () => {
    const { metrics } = occupancyPathwise.evaluate(rows(10, -10, 11, -12));
    expect(meanMetrics(metrics)).toMatchObject({
      'occupancy/ratio_clip_fraction': 0.25,
      'occupancy/inverse_ratio_clip_fraction': 0.25,
    });
  });

  test('at the reference the floor is all there is', () => {
    const { loss, cotangents } = occupancyPathwise.evaluate(rows(0, 0), { sqrtChi2Weight: 1 });
    expect(loss).toBe(0.01);
    expect([...cotangents.logprobs!]).toEqual([0, 0]);
  });

  test('without a floor', () => {
    const { loss } = occupancyPathwise.evaluate(rows(0.001, 0), { sqrtChi2Weight: 1, floor: 0 });
    expect(loss).toBeCloseTo(0.001 * Math.SQRT1_2, 9);
    expect(occupancyPathwise.evaluate(rows(0, 0), { floor: 0 }).loss).toBe(0);
  });

  test('wrong options are refused', () => {
    expect(() => occupancyPathwise.evaluate(rows(0), { floor: -1 })).toThrow(/`floor`/);
  });
});
