import { getObjective, klEstimate } from '@kelpie/objectives';
import { describe, expect, test } from 'vitest';
import { advantagesOf } from './advantages.js';
import { controllerOf } from './controllers.js';
import { divergenceMetrics } from './metrics.js';
import { shape } from './penalties.js';
import { ranksOf } from './ranks.js';
import { tokenMeanOf } from './slopes.js';
import { taken, usualTake } from './take.js';
import { winRates } from './win-rates.js';

const grid = { rows: 2, tokens: 2, completionMask: Uint8Array.of(1, 1, 1, 0) };
const logprobs = Float64Array.of(-1, -2, -1.5, 0);
const referenceLogprobs = Float64Array.of(-1.5, -1.75, -2, 0);
const completions = {
  ...grid,
  logprobs,
  referenceLogprobs,
  rewards: Float64Array.of(3, 1),
  ended: Uint8Array.of(1, 0),
};
const plain = {
  penalty: 'kl',
  penaltyIn: 'reward',
  klEstimator: 'k1',
  penaltyParameter: 0.5,
  occupancyClip: 10,
} as const;

describe('penalties in the reward', () => {
  test('KL on each token, the reward on the last', () => {
    const { rewards, tokenRewards, penalties } = shape(completions, 2, plain);
    expect([...penalties]).toEqual([0.5, 1]);
    expect([...rewards]).toEqual([2.5, 0]);
    expect([...tokenRewards]).toEqual([-1, 3 + 0.5, 1 - 1, 0]);
  });

  test('chi-squared of whole completions, by its first variation', () => {
    const { rewards, tokenRewards } = shape(completions, 1, { ...plain, penalty: 'occupancy-chi2' });
    expect(rewards[0]).toBeCloseTo(3 - 2 * Math.expm1(0.25), 12);
    expect(rewards[1]).toBeCloseTo(1 - 2 * Math.expm1(0.5), 12);
    expect(tokenRewards[0]).toBeCloseTo(0, 15);
    expect(tokenRewards[1]).toBe(rewards[0]);
  });

  test('clip and the price of a missing end come before; what is in the loss takes nothing off', () => {
    const options = { ...plain, penaltyIn: 'loss', rewardClip: 2, missingEos: 4 } as const;
    expect([...shape(completions, 2, options).rewards]).toEqual([2, -2]);
  });
});

test('divergences of two completions', () => {
  const found = divergenceMetrics(grid, { logprobs, entropy: logprobs, referenceLogprobs });
  const k3 = (r: number) => klEstimate('k3', r).value;
  expect(found['divergence/kl_k1']).toBeCloseTo(0.375, 12);
  expect(found['divergence/kl_k3']).toBeCloseTo((k3(0.25) + k3(0.5)) / 2, 12);
  expect(found['divergence/chi2']).toBeCloseTo((4 * Math.sinh(0.125) ** 2 + 4 * Math.sinh(0.25) ** 2) / 2, 12);
});

test('an advantage a row, on each of its tokens', () => {
  const { rewards, tokenRewards } = shape(completions, 0, plain);
  const judgement = { ...grid, rewards, tokenRewards, parts: [rewards], weights: [1], groups: Int32Array.of(0, 0) };
  const options = { gamma: 1, gaeLambda: 0.95, whiten: false };
  expect([...advantagesOf('leave-one-out', judgement, options).advantages]).toEqual([2, 2, -2, 0]);
  expect([...advantagesOf('none', judgement, options).advantages]).toEqual([3, 3, 1, 0]);
});

test('rows that nobody judged are not whitened over', () => {
  const of = (rewards: readonly number[]) => {
    const rows = rewards.length;
    const judgement = {
      ...{ rows, tokens: 1, completionMask: new Uint8Array(rows).fill(1) },
      rewards: Float64Array.from(rewards),
      tokenRewards: Float64Array.from(rewards, (reward) => (Number.isNaN(reward) ? 0 : reward)),
      ...{ parts: [], weights: [], groups: new Int32Array(rows) },
    };
    return [...advantagesOf('reinforce++', judgement, { gamma: 1, gaeLambda: 0.95, whiten: false }).advantages];
  };
  const judged = of([10, 11]);
  expect(judged[1]).toBeCloseTo(Math.SQRT1_2, 6);
  expect(of([10, 11, Number.NaN, Number.NaN])).toEqual([...judged, 0, 0]);
});

test('what is learnt from: all, the best, or best and worst', () => {
  const rewards = Float64Array.of(1, 3, 2, 5, 5, 5);
  const groups = Int32Array.of(0, 0, 0, 1, 1, 1);
  expect([...taken('best', rewards, { groups })]).toEqual([1, 3]);
  expect([...taken('pairs', rewards, { groups })]).toEqual([1, 0]);
  expect(['grpo', 'dpo', 'sft', 'superhf'].map((name) => usualTake(getObjective(name), {}))).toEqual([
    'all',
    'pairs',
    'best',
    'best',
  ]);
});

test('places in a group by reward: ties share one, what nobody judged has none', () => {
  const rewards = Float64Array.of(1, 3, Number.NaN, 3, 5, 4);
  expect([...ranksOf(rewards, Int32Array.of(0, 0, 0, 0, 1, 1))]).toEqual([2, 0, -1, 0, 0, 1]);
});

test('the share of its group that a completion wins against, ties half', () => {
  const rewards = Float64Array.of(1, 3, Number.NaN, 3, 5);
  expect([...winRates(rewards, Int32Array.of(0, 0, 0, 0, 1))]).toEqual([0, 0.75, Number.NaN, 0.75, Number.NaN]);
});

test('how an objective averages what its tokens have earned', () => {
  const mean = (name: string, options = {}) => tokenMeanOf(getObjective(name), options);
  expect(mean('dapo')).toEqual({ aggregation: 'tokens', scale: 1 });
  expect(mean('grpo')).toEqual({ aggregation: 'rows', scale: 1 });
  expect(mean('grpo', { aggregation: 'tokens' })).toEqual({ aggregation: 'tokens', scale: 1 });
  expect(mean('gspo')).toEqual({ aggregation: 'rows', scale: 1 });
  expect(mean('rloo')).toEqual({ aggregation: 'sums', scale: 1 });
  expect(mean('dr-grpo', { tokenBudget: 8 })).toEqual({ aggregation: 'sums', scale: 1 / 8 });
  expect(mean('ppo', { valueCoef: 0.5 })).toEqual({ aggregation: 'tokens', scale: 1 });
  expect(mean('sft')).toEqual({ aggregation: 'tokens', scale: 1 });
});

test('a measured divergence is taken off on its tokens and off the whole', () => {
  const both = { ...plain, penalty: 'exact-js', penaltyIn: 'both' } as const;
  const measured = Float64Array.of(0.25, 0.5, 1, 0);
  const { rewards, tokenRewards, penalties } = shape({ ...completions, measured }, 2, both);
  expect([...penalties]).toEqual([1.5, 2]);
  expect([...rewards]).toEqual([1.5, -1]);
  expect([...tokenRewards]).toEqual([-0.5, 3 - 1, 1 - 2, 0]);
});

test('weights of the penalty behind a step of KL 12', () => {
  const at = (name: 'fixed' | 'adaptive' | 'stepped' | 'proportional', kl: number) =>
    controllerOf(name, { klCoef: 1, initial: 0.5, target: 6, horizon: 100 }).update(kl, 10).klCoef;
  expect(at('fixed', 12)).toBe(1);
  expect(at('adaptive', 12)).toBeCloseTo(1.02, 12);
  expect(at('stepped', 12.5)).toBe(1.5);
  expect(at('stepped', 2)).toBe(0.5);
  expect(at('proportional', 12)).toBe(1);
});
