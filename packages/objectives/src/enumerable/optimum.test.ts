import { describe, expect, test } from 'vitest';
import * as divergences from '../divergences/index.js';
import { alphaDivergence, type Divergence } from '../divergences/index.js';
import { seeded } from '../testing/random.js';
import { bestOfN, firstOrderError, frontier, optimalPolicy, optimumAtReward, spacedBetween } from './optimum.js';
import { expectation, logSumExp, normal, randomPolicy, sequenceLogprobs } from './policy.js';
import { enumerateSequences } from './space.js';

const all: readonly Divergence[] = [
  divergences.reverseKl,
  divergences.forwardKl,
  divergences.jensenShannon,
  alphaDivergence(0.3),
  alphaDivergence(-0.5),
  divergences.pearsonChi2,
  divergences.halfChi2PlusKl,
  divergences.squaredHellinger,
  divergences.neymanChi2,
  divergences.totalVariation,
];

function world(seed: number) {
  const random = seeded(seed);
  const space = enumerateSequences({ vocabulary: 3, length: 3 });
  const reference = sequenceLogprobs(randomPolicy(space, random));
  return { reference, rewards: Float64Array.from(reference, () => normal(random)) };
}

describe.each(all.map((divergence) => [divergence.title, divergence] as const))('%s', (_, divergence) => {
  const betas = [1e-3, 0.05, 0.3, 1, 10, 1e3];

  test('first-order condition from all reward to all reference', () => {
    if (divergence === divergences.totalVariation) return;
    for (let seed = 0; seed < 5; seed++) {
      for (const beta of betas) {
        const problem = { ...world(seed), divergence, beta };
        expect(firstOrderError(problem, optimalPolicy(problem))).toBeLessThan(1e-9 * Math.max(1, beta));
      }
    }
  });

  test('no distribution nearby or mixed in does better', () => {
    const random = seeded(7);
    for (const beta of betas) {
      const problem = { ...world(3), divergence, beta };
      const { reference, rewards } = problem;
      const value = (p: Float64Array) => expectation(p, rewards) - beta * divergence.exact(p, reference).value;
      const optimum = optimalPolicy(problem);
      for (let trial = 0; trial < 20; trial++) {
        const other = Float64Array.from(reference, () => 3 * normal(random));
        const norm = logSumExp(other);
        const share = 10 ** (-6 * random());
        const mixed = optimum.map((p, i) => Math.log((1 - share) * Math.exp(p) + share * Math.exp(other[i]! - norm)));
        expect(value(mixed)).toBeLessThanOrEqual(value(optimum) + 1e-12 * Math.max(1, beta));
      }
    }
  });

  test('reward falls as the coefficient grows, and the divergence with it', () => {
    const points = frontier({ ...world(1), divergence }, spacedBetween(1e-3, 1e3, 30));
    for (let i = 1; i < points.length; i++) {
      expect(points[i]!.reward).toBeLessThanOrEqual(points[i - 1]!.reward + 1e-12);
      expect(points[i]!.divergence).toBeLessThanOrEqual(points[i - 1]!.divergence + 1e-12);
    }
  });
});

test('reverse KL: ref e^{r/beta}', () => {
  const { reference, rewards } = world(5);
  const weights = rewards.map((reward, i) => reference[i]! + reward / 0.2);
  const norm = logSumExp(weights);
  const optimum = optimalPolicy({ reference, rewards, divergence: divergences.reverseKl, beta: 0.2 });
  optimum.forEach((p, i) => {
    expect(p).toBeCloseTo(weights[i]! - norm, 12);
  });
});

test('chi-squared leaves out what pays too little', () => {
  const { reference, rewards } = world(5);
  const optimum = optimalPolicy({ reference, rewards, divergence: divergences.pearsonChi2, beta: 0.2 });
  expect(optimum.some((p) => p === Number.NEGATIVE_INFINITY)).toBe(true);
});

test('a completion the reference rules out stays out, and a reward shift changes nothing', () => {
  const reference = Float64Array.of(Math.log(0.5), Number.NEGATIVE_INFINITY, Math.log(0.5));
  for (const divergence of all) {
    const at = (shift: number) =>
      optimalPolicy({ reference, rewards: Float64Array.of(shift, 9 + shift, 1 + shift), divergence, beta: 0.75 });
    expect(at(0)[1]).toBe(Number.NEGATIVE_INFINITY);
    expect([...at(1024)]).toEqual([...at(0)]);
  }
});

test('all rewards equal: the reference', () => {
  const { reference } = world(2);
  for (const divergence of all) {
    optimalPolicy({ reference, rewards: reference.map(() => 3), divergence, beta: 0.1 }).forEach((p, i) => {
      expect(p).toBeCloseTo(reference[i]!, 12);
    });
  }
});

test('an optimum of a given reward', () => {
  const problem = { ...world(4), divergence: divergences.forwardKl };
  const target = 0.4 * expectation(problem.reference, problem.rewards) + 0.6 * Math.max(...problem.rewards);
  expect(optimumAtReward(problem, target).reward).toBeCloseTo(target, 12);
});

describe('best of n', () => {
  test('two of three: by hand, ties shared', () => {
    const reference = Float64Array.of(0.5, 0.3, 0.2).map(Math.log);
    const probabilities = (rewards: number[], n: number) => [
      ...bestOfN(reference, Float64Array.from(rewards), n).map(Math.exp),
    ];
    expect(probabilities([0, 1, 2], 2)).toEqual([0.25, 0.64 - 0.25, 1 - 0.64].map((p) => expect.closeTo(p, 14)));
    expect(probabilities([1, 1, 0], 2)).toEqual(
      [0.96 * (5 / 8), 0.96 * (3 / 8), 0.04].map((p) => expect.closeTo(p, 14)),
    );
    expect(probabilities([2, 1, 0], 1)).toEqual([0.5, 0.3, 0.2].map((p) => expect.closeTo(p, 14)));
  });

  test('KL at most log n - (n-1)/n', () => {
    for (let seed = 0; seed < 20; seed++) {
      const { reference, rewards } = world(seed);
      for (const n of [2, 4, 16, 128]) {
        const kl = divergences.reverseKl.exact(bestOfN(reference, rewards, n), reference).value;
        expect(kl).toBeLessThanOrEqual(Math.log(n) - (n - 1) / n);
      }
    }
  });
});
