import { describe, expect, test } from 'vitest';
import { type Divergence, forwardKl, jensenShannon, reverseKl } from '../divergences/index.js';
import { logSoftmax } from '../numerics.js';
import { seeded } from '../testing/index.js';
import { balancedKl } from './balanced-kl.js';
import { generalizedJsd } from './generalized-jsd.js';
import { skewedForwardKl, skewedReverseKl } from './skewed-kl.js';

const all: readonly Divergence[] = [
  ...[0.1, 0.5, 0.9].map(generalizedJsd),
  ...[0.1, 0.5, 0.9].flatMap((skew) => [skewedForwardKl(skew), skewedReverseKl(skew)]),
  balancedKl({ forward: 0.7, reverse: 0.3 }),
  balancedKl({ forward: 0, reverse: 2 }),
  balancedKl({ forward: 2, reverse: 0 }),
];
const ratios = [-8, -2, -0.3, 0, 0.01, 0.7, 3, 8];

function distributions(seed: number) {
  const random = seeded(seed);
  const draw = () => logSoftmax(Float64Array.from({ length: 5 }, () => 6 * random() - 3));
  return { logP: draw(), logQ: draw() };
}

const kl = (logP: Float64Array, logQ: Float64Array) =>
  logP.reduce((sum, logprob, v) => sum + Math.exp(logprob) * (logprob - logQ[v]!), 0);
const mixed = (share: number, logP: Float64Array, logQ: Float64Array) =>
  logP.map((logprob, v) => Math.log(share * Math.exp(logprob) + (1 - share) * Math.exp(logQ[v]!)));

describe.each(all)('$title', (divergence) => {
  test('f(1) = 0, f and f′ agree by differences, f′ and its slope too', () => {
    expect(divergence.f(0)).toBeCloseTo(0, 15);
    for (const r of ratios) {
      const h = 1e-5;
      const size = Math.exp(r);
      const difference = (divergence.f(r + h) - divergence.f(r - h)) / (2 * h);
      expect(difference / size).toBeCloseTo(divergence.derivative(r), 5);
      const second = (divergence.derivative(r + h) - divergence.derivative(r - h)) / (2 * h);
      expect(Math.abs(second - divergence.slope(r))).toBeLessThan(1e-7 * Math.max(1, divergence.slope(r)));
    }
    expect(divergence.slope(0)).toBeCloseTo(divergence.curvature, 12);
  });

  test('the inverse of f′ gives the ratio back, and NaN outside', () => {
    for (const r of ratios) {
      // A digit of f' is worth one of r over the slope.
      const lost = 1e-13 / Math.min(1, divergence.slope(r));
      expect(Math.abs(divergence.logInverse(divergence.derivative(r)) - r)).toBeLessThan(1e-12 + lost);
    }
    const [low, high] = divergence.range;
    if (Number.isFinite(high)) expect(divergence.logInverse(high + 0.1)).toBeNaN();
    if (Number.isFinite(low)) expect(divergence.logInverse(low - 0.1)).toBeNaN();
  });

  test('gradient at the logits = central difference; it sums to 0', () => {
    const { logP, logQ } = distributions(5);
    const { gradient } = divergence.exact(logP, logQ);
    expect(gradient.reduce((sum, slope) => sum + slope, 0)).toBeCloseTo(0, 14);
    gradient.forEach((slope, at) => {
      const value = (step: number) =>
        divergence.exact(logSoftmax(logP.map((x, v) => (v === at ? x + step : x))), logQ).value;
      expect(slope).toBeCloseTo((value(1e-5) - value(-1e-5)) / 2e-5, 9);
    });
  });

  test('finite at ratios of e^±700', () => {
    for (const logP of [Float64Array.of(0, -700), Float64Array.of(-700, 0)]) {
      const { value, gradient } = divergence.exact(logP, Float64Array.of(-700, 0));
      expect(Number.isFinite(value)).toBe(true);
      expect(gradient.every(Number.isFinite)).toBe(true);
    }
  });
});

describe('definitions', () => {
  const { logP, logQ } = distributions(9);
  test('agarwal2023: beta KL(q ‖ m) + (1-beta) KL(p ‖ m)', () => {
    const m = mixed(0.7, logP, logQ);
    expect(generalizedJsd(0.3).exact(logP, logQ).value).toBeCloseTo(0.3 * kl(logQ, m) + 0.7 * kl(logP, m), 14);
  });

  test('half is half of twice Jensen-Shannon; 0 and 1 are the KLs, which no limit gives', () => {
    expect(generalizedJsd(0.5).exact(logP, logQ).value).toBeCloseTo(jensenShannon.exact(logP, logQ).value / 2, 14);
    expect([generalizedJsd(0), generalizedJsd(1)]).toEqual([forwardKl, reverseKl]);
    const near = generalizedJsd(1e-7).exact(logP, logQ).value / 1e-7;
    expect(near).toBeCloseTo(forwardKl.exact(logP, logQ).value, 5);
  });

  test('skewed KLs', () => {
    expect(skewedForwardKl(0.2).exact(logP, logQ).value).toBeCloseTo(kl(logQ, mixed(0.2, logQ, logP)), 14);
    expect(skewedReverseKl(0.2).exact(logP, logQ).value).toBeCloseTo(kl(logP, mixed(0.2, logP, logQ)), 14);
    expect([skewedForwardKl(0), skewedReverseKl(0)]).toEqual([forwardKl, reverseKl]);
  });

  test('both directions, weighed', () => {
    const { value } = balancedKl({ forward: 0.7, reverse: 0.3 }).exact(logP, logQ);
    expect(value).toBeCloseTo(0.7 * kl(logQ, logP) + 0.3 * kl(logP, logQ), 14);
  });

  test('parameters outside are refused', () => {
    expect(() => generalizedJsd(1.1)).toThrow('expected a number from 0 to 1, got 1.1');
    expect(() => skewedForwardKl(1)).toThrow('skew');
    expect(() => balancedKl({ forward: 0, reverse: 0 })).toThrow('weights');
  });
});
