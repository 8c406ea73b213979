import { expect, test } from 'vitest';
import { pearsonChi2, reverseKl } from '../divergences/index.js';
import { enumerableWorld, normal, normalized, optimalPolicy, spacedBetween } from '../enumerable/index.js';
import { seeded } from '../testing/random.js';
import { coefficientSweep, correlationBound, occupancyCoefficient } from './index.js';

test('a bound worked out by hand', () => {
  // Two outcomes, equally likely at first: both rewards are ±1 there, the proxy's of three times the size.
  const found = correlationBound({
    policy: Float64Array.of(0.75, 0.25).map(Math.log),
    reference: Float64Array.of(0.5, 0.5).map(Math.log),
    trueRewards: Float64Array.of(1, -1),
    proxyRewards: Float64Array.of(3, -3),
  });
  expect(found.correlation).toBeCloseTo(1, 14);
  expect(found.proxyStd).toBeCloseTo(3, 14);
  expect(found.chi2).toBeCloseTo(0.25, 14);
  expect(found.trueGain).toBeCloseTo(0.5, 14);
  expect(found.bound).toBeCloseTo(0.5, 7);
});

test('it holds at optima of KL and chi-squared and at random policies', () => {
  const held = Array.from({ length: 10 }, (_, seed) => {
    const { reference, rewards } = enumerableWorld({ seed, vocabulary: 4, length: 3 });
    const random = seeded(seed + 50);
    const proxyRewards = rewards.map((reward) => reward + 0.8 * normal(random));
    const optima = [reverseKl, pearsonChi2].flatMap((divergence) =>
      spacedBetween(0.05, 5, 5).map((beta) => optimalPolicy({ reference, rewards: proxyRewards, divergence, beta })),
    );
    const drawn = Array.from({ length: 5 }, () => normalized(reference.map((logprob) => logprob + normal(random))));
    return [...optima, ...drawn].map((policy) => {
      const found = correlationBound({ policy, reference, trueRewards: rewards, proxyRewards });
      expect(found.correlation).toBeGreaterThan(0);
      return found.trueGain >= found.bound - 1e-9;
    });
  }).flat();
  expect(held).toHaveLength(150);
  expect(held).not.toContain(false);
});

test('the coefficient makes the regularised proxy a multiple of the bound', () => {
  const { reference, rewards } = enumerableWorld({ seed: 3, vocabulary: 3, length: 2 });
  const proxyRewards = rewards.map((reward, i) => reward + Math.sin(i));
  const policy = normalized(reference.map((logprob, i) => logprob + Math.cos(3 * i)));
  const found = correlationBound({ policy, reference, trueRewards: rewards, proxyRewards });
  const regularised = found.proxyStd * found.proxyGain - found.coefficient * Math.sqrt(found.chi2);
  expect(regularised).toBeCloseTo(found.proxyStd * found.correlation * found.bound, 12);
  expect(found.coefficient).toBe(occupancyCoefficient(found.proxyStd, found.correlation));
  expect(coefficientSweep(2)).toEqual([2, 1, 0.4, 0.2, 0.1, 0.04, 0.02]);
});

test('nothing follows from a proxy that is not correlated, and nothing from where the reference never goes', () => {
  const reference = Float64Array.of(0.5, 0.5).map(Math.log);
  const policy = Float64Array.of(0.75, 0.25).map(Math.log);
  const opposed = { trueRewards: Float64Array.of(1, -1), proxyRewards: Float64Array.of(-1, 1) };
  expect(correlationBound({ policy, reference, ...opposed }).bound).toBe(Number.NEGATIVE_INFINITY);
  const three = (...p: number[]) => Float64Array.from(p, Math.log);
  const elsewhere = correlationBound({
    policy: three(0.25, 0.25, 0.5),
    reference: three(0.5, 0.5, 0),
    trueRewards: Float64Array.of(1, -1, 0),
    proxyRewards: Float64Array.of(1, -0.5, 9),
  });
  expect(elsewhere.chi2).toBe(Number.POSITIVE_INFINITY);
});

test('what is no distribution is refused by name', () => {
  const rewards = Float64Array.of(1, 2);
  const reference = Float64Array.of(0.5, 0.5).map(Math.log);
  const wrong = { policy: Float64Array.of(0.5, 0.5), reference, trueRewards: rewards, proxyRewards: rewards };
  expect(() => correlationBound(wrong)).toThrow(/`policy`: expected a sum of probabilities of 1/);
  expect(() => correlationBound({ ...wrong, policy: reference, trueRewards: Float64Array.of(1) })).toThrow(
    /2, 2, 1, 2/,
  );
});
