import { z } from 'zod';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import {
  aggregationOptions,
  aggregator,
  entropyOptions,
  entropyTerm,
  importanceOptions,
  klOptions,
  klSettings,
  klTerm,
  logRatios,
  oldLogprobs,
  policyNeeds,
  policyNeedsOf,
  pullRatios,
  ratioOf,
  ratioOptions,
  rewardClaims,
  softGateLoss,
  sumTerms,
  weighRows,
} from '../surrogate/index.js';

/**
 * Soft adaptive policy optimisation. Gao et al. 2025, arXiv:2511.20347, and the `sapo` loss type of TRL.
 *   L = mean over rows of (1/n) Σ_t -A (4/τ) σ(τ(ρ_t - 1)),   τ = τ_positive where A > 0, else τ_negative
 *   dL/dlog π(y_t) = -4 A σ(τ(ρ_t - 1)) σ(-τ(ρ_t - 1)) ρ_t/(n rows)
 * The sigmoid takes the place of the clip: slope 1 on policy, fading to either side, faster where the advantage is
 * negative. Advantages: `groupStd`. Defaults: τ 1 and 1.05, no KL.
 */
export const sapo = defineObjective({
  name: 'sapo',
  title: 'Soft adaptive policy optimisation',
  summary: 'Like GRPO, with a sigmoid of the ratio in place of the clip.',
  paper: 'Gao et al. 2025, arXiv:2511.20347',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: policyNeedsOf,
  claims: rewardClaims,
  claimedAt: klSettings,
  options: {
    temperaturePositive: z.number().positive().default(1).describe('τ where the advantage is positive.'),
    temperatureNegative: z.number().positive().default(1.05).describe('τ where it is not.'),
    ...ratioOptions,
    ...importanceOptions,
    ...klOptions(0),
    ...entropyOptions,
    ...aggregationOptions('rows'),
  },
  evaluate(input, options) {
    const { temperaturePositive, temperatureNegative, onPolicy, logRatioClamp, entropyCoef, importance } = options;
    const { completionMask, policy, perToken } = input;
    const means = aggregator(input, options);
    const logs = logRatios(input, policy.logprobs, oldLogprobs(input, onPolicy), importance);
    const losses = new Float64Array(completionMask.length);
    const slopes = new Float64Array(completionMask.length);
    for (let at = 0; at < losses.length; at++) {
      if (!completionMask[at]) continue;
      const advantage = perToken.advantages[at]!;
      const temperature = advantage > 0 ? temperaturePositive : temperatureNegative;
      const { loss, slope } = softGateLoss(ratioOf(logs[at]!, logRatioClamp), advantage, temperature);
      losses[at] = loss;
      slopes[at] = slope;
    }
    const { loss, metric } = means.mean(losses);
    return sumTerms([
      {
        loss,
        metrics: { 'loss/policy_avg': metric, ...entropyMetric(input) },
        cotangents: { logprobs: pullRatios(input, weighRows(input, slopes, means.weights), importance) },
      },
      klTerm(input, options, means),
      entropyTerm(input, entropyCoef, means),
    ]);
  },
});
