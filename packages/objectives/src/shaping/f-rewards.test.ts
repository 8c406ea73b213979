import { describe, expect, test } from 'vitest';
import {
  alphaDivergence,
  type Divergence,
  forwardKl,
  halfChi2PlusKl,
  jensenShannon,
  neymanChi2,
  pearsonChi2,
  reverseKl,
  squaredHellinger,
  totalVariation,
} from '../divergences/index.js';
import { type FPenaltyForm, fPenalty, fShapedRewards } from './f-rewards.js';
import { shapedRewards } from './rewards.js';

const of = (...values: number[]) => Float64Array.from(values);
const near = (values: ArrayLike<number>, digits = 12) => Array.from(values, (value) => expect.closeTo(value, digits));

/** Two rows, one of them empty; junk where masked. */
const completions = {
  rows: 2,
  tokens: 3,
  completionMask: Uint8Array.of(1, 1, 0, 0, 0, 0),
  logprobs: of(-1, -2, Number.NaN, 7, 7, 7),
  referenceLogprobs: of(-2, -1.5, 4, 7, Number.NEGATIVE_INFINITY, 7),
  scores: of(3, 100),
};

describe('wang2023, generators of x = ref/pi as the authors have them', () => {
  const r = 0.7;
  const x = Math.exp(-r);
  test.each([
    ['reverse_kl', reverseKl, -Math.log(x), -Math.log(x) + (x - 1)],
    ['forward_kl', forwardKl, x * Math.log(x), x * Math.log(x) - (x - 1)],
    ['pearson chi2', pearsonChi2, (1 - x) ** 2 / x, (1 - x) ** 2 / x],
    ['total variation', totalVariation, Math.abs(1 - x) / 2, Math.abs(1 - x) / 2],
  ])('%s', (_, divergence: Divergence, charged, logged) => {
    expect(fPenalty(divergence, r)).toBeCloseTo(charged, 13);
    expect(fPenalty(divergence, r, 'centred')).toBeCloseTo(logged, 13);
  });
});

const every: readonly Divergence[] = [
  reverseKl,
  forwardKl,
  jensenShannon,
  alphaDivergence(0.3),
  pearsonChi2,
  halfChi2PlusKl,
  squaredHellinger,
  neymanChi2,
  totalVariation,
];

describe.each(every.map((divergence) => [divergence.name, divergence] as const))('%s', (_, divergence) => {
  const [logP, logQ] = [
    [0.2, 0.5, 0.3],
    [0.6, 0.3, 0.1],
  ].map((probabilities) => Float64Array.from(probabilities, Math.log)) as [Float64Array, Float64Array];
  const expected = (of: (r: number) => number) =>
    logP.reduce((sum, logp, at) => sum + Math.exp(logp) * of(logp - logQ[at]!), 0);

  test.each(['bare', 'centred'] as const)('%s: its mean over the policy is the divergence', (form) => {
    expect(expected((r) => fPenalty(divergence, r, form))).toBeCloseTo(divergence.exact(logP, logQ).value, 13);
  });

  test('centred: 0 at the reference and never negative', () => {
    expect(fPenalty(divergence, 0, 'centred')).toBeCloseTo(0, 15);
    for (const r of [-30, -1, -0.01, 0.01, 1, 30]) {
      expect(fPenalty(divergence, r, 'centred')).toBeGreaterThanOrEqual(0);
    }
  });

  test('derivative: a policy gradient of it is the gradient of the divergence', () => {
    const mean = expected((r) => fPenalty(divergence, r, 'derivative'));
    const gradient = logP.map(
      (logp, at) => Math.exp(logp) * (fPenalty(divergence, logp - logQ[at]!, 'derivative') - mean),
    );
    expect([...gradient]).toEqual(near(divergence.exact(logP, logQ).gradient));
  });

  test('finite at logratios of ±1e4', () => {
    for (const form of ['bare', 'centred', 'derivative'] as const satisfies readonly FPenaltyForm[]) {
      for (const r of [-1e4, 1e4]) expect(Number.isFinite(fPenalty(divergence, r, form))).toBe(true);
    }
  });
});

describe('rewards', () => {
  test('under reverse KL they are those of k1, and what is logged is k3', () => {
    const ours = fShapedRewards(completions, { divergence: reverseKl, coef: 0.5, clip: 2 });
    const k1 = shapedRewards(completions, { klCoef: 0.5, clip: 2 });
    expect([...ours.rewards]).toEqual(near(k1.rewards));
    expect([...ours.penalties]).toEqual(near(k1.kl));
    expect([...ours.usedScores]).toEqual([...k1.usedScores]);
    expect(ours.meanNonScoreReward).toBeCloseTo(k1.meanNonScoreReward, 14);
    const k3 = shapedRewards(completions, { klCoef: 0.5, klEstimator: 'k3' });
    expect([...ours.divergences]).toEqual(near(k3.kl));
    expect(ours.meanSequenceDivergence).toBeCloseTo(k3.meanSequenceKl, 14);
  });

  test('another form, held to a clamp; what is logged is not', () => {
    const { rewards, penalties, divergences } = fShapedRewards(completions, {
      divergence: forwardKl,
      coef: 2,
      form: 'derivative',
      clamp: 1,
    });
    expect([...penalties]).toEqual(near([-Math.exp(-1), -1, 0, 0, 0, 0]));
    expect([...rewards]).toEqual(near([2 * Math.exp(-1), 2 + 3, 0, 0, 0, 0]));
    expect(divergences[1]).toBeCloseTo(0.5 * Math.exp(0.5) - Math.expm1(0.5), 13);
  });
});
