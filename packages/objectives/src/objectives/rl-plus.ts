import { z } from 'zod';
import { divisor, softplus, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import {
  aggregations,
  aggregator,
  budgetOptions,
  clippedLoss,
  oldLogprobs,
  policyNeeds,
  ratioOf,
  ratioOptions,
  weighRows,
} from '../surrogate/index.js';

/**
 * RL-PLUS: external completions beside the policy's own, by a mixed importance ratio and an advantage that looks for
 * what the policy does not yet do. Dong et al. 2025, arXiv:2508.00222; YihongDong/RL-PLUS, `rlplus_core_alg.py`.
 *   own rows        -A ρ,  ρ = π/π_old
 *   external rows   -A stopgrad((1 - π)^gamma) ρ,  ρ = 2π/(π_ω + π_old)        at most 2π/π_old and 2π/π_ω
 *   dL/dlog π(y_t) = -A ρ or -A (1 - π)^gamma ρ, times the reduction's weight
 * π_ω wrote the external completions. `behaviour: 'mixture'`, the default, does not know it and takes (π_old +
 * uniform)/2: uniform is 1 in the released code, hence ρ = 4π/(1 + 3π_old), and the uniform distribution's 1/vocabulary
 * as secondary sources have the paper. `given` reads `perToken.behaviourLogprobs`. `perRow.external` 1 marks external
 * rows. Own rows are not clipped in the released script; `clip` does, external rows never. `aggregation: 'budget'` is
 * the script's: the sum over all tokens divided by `tokenBudget` alone, so that the loss grows with the number of rows;
 * hence the default is another. Advantages are `groupMean` over own and external rows together. Logs `loss/policy_avg`,
 * `ratio/external`; details `losses`, and `externalRatios` ρ and `exploration` (1 - π)^gamma, both 0 on own rows,
 * [rows, tokens].
 */
export const rlPlus = defineObjective({
  name: 'rl-plus',
  title: 'Hybrid-policy optimisation with external data (RL-PLUS)',
  summary: 'Follows rewards on its own and on external completions, the latter the more where the policy would not go.',
  paper: 'Dong et al. 2025, arXiv:2508.00222',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:exploration'],
  needs: { ...policyNeeds, perRow: ['external'] },
  needsOf: ({ onPolicy, behaviour }) => ({
    ...policyNeeds,
    old: onPolicy ? [] : ['logprobs'],
    perRow: ['external'],
    perToken: behaviour === 'given' ? ['advantages', 'behaviourLogprobs'] : ['advantages'],
  }),
  options: {
    gamma: z.number().min(0).default(0.5).describe('Power of 1 - π: how much likely tokens are passed over.'),
    behaviour: z
      .enum(['mixture', 'given'])
      .default('mixture')
      .describe('What wrote the external rows: half old policy, half `uniform`, or as `behaviourLogprobs` say.'),
    uniform: z
      .number()
      .min(0)
      .default(1)
      .describe('Probability that the mixture gives each token beside the old policy.'),
    clip: z.boolean().default(false).describe('Clips the ratio of own rows, as PPO does.'),
    clipRangeLow: z.number().min(0).default(0.2).describe('ε below, with `clip`.'),
    clipRangeHigh: z.number().min(0).default(0.2).describe('ε above, with `clip`.'),
    aggregation: z
      .enum([...aggregations, 'budget'])
      .default('tokens')
      .describe('Mean over all tokens, mean of row means or sums, row sums over a constant, or all over a constant.'),
    ...budgetOptions(1024),
    ...ratioOptions,
  },
  evaluate(input, options) {
    const { gamma, clip, aggregation, tokenBudget, onPolicy, logRatioClamp } = options;
    const { completionMask, tokens, policy, stopped, perRow, perToken, totals } = input;
    const overBudget = aggregation === 'budget';
    const means = aggregator(input, { aggregation: overBudget ? 'sums' : aggregation, tokenBudget });
    const scale = overBudget ? divisor(totals.rows) / tokenBudget : 1;
    const old = oldLogprobs(input, onPolicy);
    const bounds = {
      clipRangeLow: clip ? options.clipRangeLow : Number.POSITIVE_INFINITY,
      clipRangeHigh: clip ? options.clipRangeHigh : Number.POSITIVE_INFINITY,
      dualClip: 0,
      ratioCap: 0,
    };
    const column = () => new Float64Array(completionMask.length);
    const [externalRatios, exploration, losses, slopes] = [column(), column(), column(), column()];
    let externalTokens = 0;
    for (let at = 0; at < completionMask.length; at++) {
      if (!completionMask[at]) continue;
      const advantage = perToken.advantages[at]!;
      if (!perRow.external[Math.floor(at / tokens)]) {
        const ratio = ratioOf(policy.logprobs[at]! - old[at]!, logRatioClamp);
        const clipped = clippedLoss(ratio, advantage, bounds);
        [losses[at], slopes[at]] = [clipped.loss, clipped.slope];
        continue;
      }
      externalTokens++;
      const behaviour = options.behaviour === 'given' ? perToken.behaviourLogprobs![at]! : mixture(old[at]!, options);
      const { ratio, slope } = ratioOf(policy.logprobs[at]! + Math.LN2 - logAddExp(behaviour, old[at]!), logRatioClamp);
      const weight = (-Math.expm1(Math.min(stopped.logprobs[at]!, 0))) ** gamma;
      [externalRatios[at], exploration[at]] = [ratio, weight];
      [losses[at], slopes[at]] = [-advantage * weight * ratio, -advantage * weight * slope];
    }
    const { loss, metric } = means.mean(losses);
    return {
      loss: scale * loss,
      metrics: {
        'loss/policy_avg': { sum: scale * metric.sum, count: metric.count },
        'ratio/external': { sum: total(externalRatios), count: externalTokens },
        ...entropyMetric(input),
      },
      cotangents: {
        logprobs: weighRows(
          input,
          slopes,
          means.weights.map((weight) => scale * weight),
        ),
      },
      details: { losses, externalRatios, exploration },
    };
  },
});

/** log((π_old + uniform)/2). */
function mixture(oldLogprob: number, { uniform }: { readonly uniform: number }): number {
  return logAddExp(oldLogprob, Math.log(uniform)) - Math.LN2;
}

/** log(e^a + e^b), a finite. */
function logAddExp(a: number, b: number): number {
  return b === Number.NEGATIVE_INFINITY ? a : a + softplus(b - a);
}
