import { describe, expect, test } from 'vitest';
import { forwardKl, pearsonChi2, reverseKl, totalVariation } from '../divergences/index.js';
import { LARGEST_EXPONENT, logSoftmax } from '../numerics.js';
import { seeded } from '../testing/index.js';
import { expectedEstimate } from './expectation.js';
import { klEstimate, klEstimators } from './kl.js';
import { tokenKl } from './tokens.js';

const { LN2 } = Math;

describe('at d = ±log 2', () => {
  test.each([
    ['k1', LN2, 1, -LN2, 1],
    ['k2', LN2 ** 2 / 2, LN2, LN2 ** 2 / 2, -LN2],
    ['k3', LN2 - 0.5, 0.5, 1 - LN2, -1],
    ['abs', LN2, 1, LN2, -1],
    ['k3-swapped', 1 - LN2, 1, LN2 - 0.5, -0.5],
    ['k1+', LN2, LN2, -LN2, -LN2],
    ['k3+', LN2 - 0.5, LN2, 1 - LN2, -LN2],
  ] as const)('%s', (estimator, value, slope, valueBelow, slopeBelow) => {
    const above = klEstimate(estimator, LN2);
    const below = klEstimate(estimator, -LN2);
    expect([above.value, above.slope]).toEqual([expect.closeTo(value, 14), expect.closeTo(slope, 14)]);
    expect([below.value, below.slope]).toEqual([expect.closeTo(valueBelow, 14), expect.closeTo(slopeBelow, 14)]);
  });

  test('policy = reference: value and gradient 0, but for the slope of k1', () => {
    for (const estimator of klEstimators) {
      const { value, slope } = klEstimate(estimator, 0);
      expect(value).toBeCloseTo(0, 15);
      expect(slope).toBeCloseTo(estimator === 'k1' ? 1 : 0, 15);
    }
  });
});

/** All outcomes of one state are listed, so nothing is sampled: errors are those of float64. */
describe('expected value and gradient by enumeration', () => {
  const distance = (a: Float64Array, b: Float64Array) => Math.max(...a.map((value, at) => Math.abs(value - b[at]!)));

  test.each(Array.from({ length: 20 }, (_, seed) => seed))('seed %i', (seed) => {
    const random = seeded(seed);
    const outcomes = 2 + Math.floor(8 * random());
    const [logp, logq] = [0, 1].map(() =>
      logSoftmax(Float64Array.from({ length: outcomes }, () => 4 * random() - 2)),
    ) as [Float64Array, Float64Array];
    const [toReference, fromReference] = [reverseKl.exact(logp, logq), forwardKl.exact(logp, logq)];
    const chi2 = pearsonChi2.exact(logp, logq);
    const at = (name: (typeof klEstimators)[number]) => expectedEstimate(name, logp, logq);

    expect(at('k1').mean).toBeCloseTo(toReference.value, 12);
    expect(at('k3').mean).toBeCloseTo(toReference.value, 12);
    expect(at('k3-swapped').mean).toBeCloseTo(chi2.value - toReference.value, 12);

    const none = new Float64Array(outcomes);
    expect(distance(at('k1').pathwiseGradient, none)).toBeLessThanOrEqual(1e-12);
    expect(distance(at('k2').pathwiseGradient, toReference.gradient)).toBeLessThanOrEqual(1e-12);
    expect(distance(at('k3').pathwiseGradient, fromReference.gradient)).toBeLessThanOrEqual(1e-12);
    expect(distance(at('k1+').pathwiseGradient, toReference.gradient)).toBeLessThanOrEqual(1e-12);
    expect(distance(at('k3+').pathwiseGradient, toReference.gradient)).toBeLessThanOrEqual(1e-12);
    const halfChi2 = chi2.gradient.map((slope) => slope / 2);
    expect(distance(at('k3-swapped').pathwiseGradient, halfChi2)).toBeLessThanOrEqual(1e-12);
    const twiceTv = totalVariation.exact(logp, logq).gradient.map((slope) => 2 * slope);
    expect(distance(at('abs').pathwiseGradient, twiceTv)).toBeLessThanOrEqual(1e-12);

    expect(distance(at('k1').scoreGradient, toReference.gradient)).toBeLessThanOrEqual(1e-12);
    expect(distance(at('k3').scoreGradient, toReference.gradient)).toBeLessThanOrEqual(1e-12);
  });

  test('an outcome that the policy cannot draw takes no part', () => {
    const logp = logSoftmax(Float64Array.of(0, 0, Number.NEGATIVE_INFINITY));
    const logq = logSoftmax(Float64Array.of(0, 0, 0));
    const { mean, pathwiseGradient } = expectedEstimate('k3', logp, logq);
    expect(mean).toBeCloseTo(Math.log(1.5) - 1 / 3, 14);
    expect(Math.max(...pathwiseGradient.map(Math.abs))).toBeLessThan(1e-15);
  });
});

describe('clamps', () => {
  test('hold the value and stop the gradient', () => {
    expect(klEstimate('k1', 12, 10)).toEqual({ value: 10, slope: 0, clamped: true });
    expect(klEstimate('k3', -5, 10)).toEqual({ value: 10, slope: 0, clamped: true });
    expect(klEstimate('k2', 3, 10)).toEqual({ value: 4.5, slope: 3, clamped: false });
  });

  test('leave the gradient of k1+ and k3+ alone', () => {
    expect(klEstimate('k3+', -5, 10)).toEqual({ value: 10, slope: -5, clamped: true });
  });

  test('no exponent overflows; d itself may be large', () => {
    for (const estimator of klEstimators) {
      for (const d of [-1e4, 1e4]) {
        const { value, slope } = klEstimate(estimator, d);
        expect(Number.isFinite(value) && Number.isFinite(slope)).toBe(true);
      }
    }
    expect(klEstimate('k3', -1e4)).toEqual({
      value: Math.expm1(LARGEST_EXPONENT) - LARGEST_EXPONENT,
      slope: 0,
      clamped: true,
    });
    expect(klEstimate('k3', 1e4)).toEqual({ value: 1e4 - 1, slope: 1, clamped: false });
  });
});

test('over tokens: masked ones are passed over, whatever they hold', () => {
  const grid = { rows: 1, tokens: 3, completionMask: Uint8Array.of(1, 0, 1) };
  const kl = tokenKl(grid, Float64Array.of(0, Number.NaN, -1), Float64Array.of(-2, 5, -1), 'k2');
  expect([...kl.values]).toEqual([2, 0, 0]);
  expect([...kl.slopes]).toEqual([2, 0, 0]);
  expect(kl.mean).toBe(1);
  expect([...kl.meanSlopes]).toEqual([1, 0, 0]);
});
