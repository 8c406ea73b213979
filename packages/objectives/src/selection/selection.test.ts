import { expect, test } from 'vitest';
import { reverseKl } from '../divergences/index.js';
import { enumerableWorld, expectation, optimalPolicy } from '../enumerable/index.js';
import { logSoftmax } from '../numerics.js';
import {
  bestAndWorstRows,
  bestOfNExactly,
  bestRows,
  calibratedExactly,
  calibratedRewards,
  geometricMixture,
  judgedPairs,
  transformedRewards,
} from './index.js';

test('a calibrated reward is the share of the reference that is no better', () => {
  const calibrated = calibratedRewards(Float64Array.of(2, -1, Number.NaN, 7), [
    [1, 2, 3, Number.NaN],
    [0],
    [0],
    [1, 2],
  ]);
  expect([...calibrated]).toEqual([2 / 3, 0, Number.NaN, 1]);
  expect(() => calibratedRewards(Float64Array.of(1), [[Number.NaN]])).toThrow(/row 0/);
  expect(() => calibratedRewards(Float64Array.of(1), [])).toThrow(/each of 1 rows, got 0/);
});

test('a monotone change of the reward model changes no calibrated reward', () => {
  const references = [[0.1, -2, 3, 0.7]];
  const [plain] = calibratedRewards(Float64Array.of(0.5), references);
  const [bent] = calibratedRewards(Float64Array.of(Math.exp(0.5)), [references[0]!.map(Math.exp)]);
  expect(bent).toBe(plain);
});

test('transformations keep the order and stress the end that inference looks at', () => {
  const shares = Float64Array.of(0, 0.5, 1);
  const [best, worst] = [transformedRewards(shares, 10), transformedRewards(shares, -10)];
  expect(best[2]! - best[1]!).toBeGreaterThan(10 * (best[1]! - best[0]!));
  expect(worst[1]! - worst[0]!).toBeGreaterThan(10 * (worst[2]! - worst[1]!));
  expect([...transformedRewards(shares, 0)]).toEqual([...shares]);
});

test('balashankar2024: at equal KL the exponential is better for best-of-4 than the calibrated reward alone', () => {
  const { reference, rewards } = enumerableWorld({ seed: 5, vocabulary: 4, length: 3 });
  const shares = calibratedExactly(reference, rewards);
  const bestOf4 = (policy: Float64Array) => {
    const { logprobs } = bestOfNExactly(policy, rewards, 4);
    return expectation(logprobs, shares);
  };
  const atKl = (transformed: Float64Array, kl: number) => {
    let [low, high] = [1e-3, 1e6];
    for (let step = 0; step < 100; step++) {
      const beta = Math.sqrt(low * high);
      const policy = optimalPolicy({ reference, rewards: transformed, divergence: reverseKl, beta });
      if (reverseKl.exact(policy, reference).value > kl) low = beta;
      else high = beta;
    }
    return optimalPolicy({ reference, rewards: transformed, divergence: reverseKl, beta: high });
  };
  expect(bestOf4(atKl(transformedRewards(shares, 3), 0.3))).toBeGreaterThan(bestOf4(atKl(shares, 0.3)));
});

test('rows kept of each group', () => {
  const rewards = Float64Array.of(1, 3, 3, Number.NaN, 2, -1, Number.NaN, 4, 4);
  const groups = Int32Array.of(0, 0, 0, 1, 1, 1, 2, 3, 3);
  expect([...bestRows(rewards, groups)]).toEqual([1, 4, 7]);
  expect([...bestAndWorstRows(rewards, groups)]).toEqual([1, 0, 4, 5]);
});

test('judged pairs have the preferred row first', () => {
  const input = {
    rows: 4,
    tokens: 1,
    completionMask: Uint8Array.of(1, 1, 1, 0),
    policy: { logprobs: Float64Array.of(-1, -2, -3, -4) },
    perRow: { external: Uint8Array.of(0, 1, 0, 1) },
  };
  const judged = judgedPairs(input, [1, 0]);
  expect([...judged.order]).toEqual([0, 1, 3, 2]);
  expect([...judged.input.policy.logprobs!]).toEqual([-1, -2, -4, -3]);
  expect([...judged.input.completionMask]).toEqual([1, 1, 0, 1]);
  expect([...judged.input.perRow!.external!]).toEqual([0, 1, 1, 0]);
  expect(() => judgedPairs(input, [1])).toThrow(/each two of 4 rows, got 1/);
});

test('a geometric mixture lies between both policies, and rules out what one of them does', () => {
  const [a, b] = [Float64Array.of(1, 0, 2), Float64Array.of(0, 0.5, Number.NEGATIVE_INFINITY)];
  expect([...geometricMixture(a, b, 0)]).toEqual([...logSoftmax(a)]);
  expect([...geometricMixture(a, b, 1)]).toEqual([...logSoftmax(b)]);
  const half = geometricMixture(a, b, 0.5);
  expect(half[2]).toBe(Number.NEGATIVE_INFINITY);
  expect(half[0]! - half[1]!).toBeCloseTo(0.25, 14);
  expect(() => geometricMixture(a, b, 1.1)).toThrow(/`referenceShare`/);
});
