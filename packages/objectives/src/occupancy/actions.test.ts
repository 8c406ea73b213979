import { expect, test } from 'vitest';
import { categoricalActionPenalty, discountedMean, type GaussianActions, gaussianActionPenalty } from './index.js';

const p = Float64Array.of(0.2, 0.8).map(Math.log);
const q = Float64Array.of(0.5, 0.5).map(Math.log);

test('categorical divergences by hand', () => {
  expect(categoricalActionPenalty('chi2', p, q).value).toBeCloseTo(0.36, 14);
  expect(categoricalActionPenalty('sqrt-chi2', p, q).value).toBeCloseTo(0.6, 14);
  expect(categoricalActionPenalty('kl', p, q).value).toBeCloseTo(0.2 * Math.log(0.4) + 0.8 * Math.log(1.6), 14);
});

test('the root has half its gradient by its size, and none below its floor', () => {
  const chi2 = categoricalActionPenalty('chi2', p, q).gradient;
  const root = categoricalActionPenalty('sqrt-chi2', p, q).gradient;
  root.forEach((slope, i) => {
    expect(slope).toBeCloseTo(chi2[i]! / 1.2, 14);
  });
  expect(categoricalActionPenalty('sqrt-chi2', q, q)).toEqual({ value: 0.01, gradient: new Float64Array(2) });
});

const policy = { means: Float64Array.of(0.4, -1), deviations: Float64Array.of(0.8, 1.1) };
const reference = { means: Float64Array.of(-0.3, 0.2), deviations: Float64Array.of(1.3, 0.9) };

/** ∫ p²/q - 1 of one dimension, by the trapezium rule. */
function integrated(s1: number, s2: number, gap: number): number {
  let sum = 0;
  for (let x = -40; x <= 40; x += 1e-3) {
    const logp = -((x - gap) ** 2) / (2 * s1 ** 2) - Math.log(s1);
    const logq = -(x ** 2) / (2 * s2 ** 2) - Math.log(s2);
    sum += Math.exp(2 * logp - logq) * 1e-3;
  }
  return sum / Math.sqrt(2 * Math.PI) - 1;
}

test("normal distributions' chi-squared is the integral, over independent dimensions the product", () => {
  const first = integrated(0.8, 1.3, 0.7);
  const second = integrated(1.1, 0.9, -1.2);
  expect(gaussianActionPenalty('chi2', policy, reference).value).toBeCloseTo((1 + first) * (1 + second) - 1, 6);
});

test.each(['kl', 'chi2', 'sqrt-chi2'] as const)('gradients of %s are differences', (divergence) => {
  const at = (change: Partial<GaussianActions>) =>
    gaussianActionPenalty(divergence, { ...policy, ...change }, reference).value;
  const { meanGradient, deviationGradient } = gaussianActionPenalty(divergence, policy, reference);
  for (const i of [0, 1]) {
    const moved = (values: Float64Array, step: number) => values.map((value, j) => (i === j ? value + step : value));
    const mean = (step: number) => at({ means: moved(policy.means, step) });
    const deviation = (step: number) => at({ deviations: moved(policy.deviations, step) });
    const size = Math.max(1, at({}));
    expect(Math.abs(meanGradient[i]! - (mean(1e-6) - mean(-1e-6)) / 2e-6)).toBeLessThan(1e-6 * size);
    expect(Math.abs(deviationGradient[i]! - (deviation(1e-6) - deviation(-1e-6)) / 2e-6)).toBeLessThan(1e-6 * size);
  }
});

test('a policy with too wide a tail is infinitely far, or as far as its KL if that is asked for', () => {
  const wide = { means: Float64Array.of(0), deviations: Float64Array.of(Math.SQRT2) };
  const narrow = { means: Float64Array.of(0), deviations: Float64Array.of(1) };
  expect(gaussianActionPenalty('chi2', wide, narrow).value).toBe(Number.POSITIVE_INFINITY);
  expect(gaussianActionPenalty('sqrt-chi2', wide, narrow).value).toBe(Number.POSITIVE_INFINITY);
  const kl = gaussianActionPenalty('kl', wide, narrow);
  expect(gaussianActionPenalty('sqrt-chi2', wide, narrow, { whenInfinite: 'kl' })).toEqual(kl);
  expect(kl.value).toBeCloseTo(-Math.log(2) / 2 + 0.5, 14);
});

test('a mean over states, longer where the discount is', () => {
  expect(discountedMean([1, 3])).toBe(2);
  expect(discountedMean([1, 3], 0.5)).toBe(4);
  expect(discountedMean([])).toBe(0);
  expect(() => discountedMean([1], 1)).toThrow(/`gamma`/);
});
