import { z } from 'zod';
import { rowsByGroup } from '../advantages/index.js';
import { logSumExp } from '../enumerable/policy.js';
import { tokenKl } from '../estimators/index.js';
import { divisor, rowLengths, rowSums, spreadRows } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';

/**
 * Decoupled reward policy optimisation (DRPO), which prefers short correct answers without ever calling a correct one
 * bad. Li et al. 2025, arXiv:2510.04474; Optimization-AI/DRPO, `compute_policy_loss_drpo`; built on DisCO,
 * arXiv:2505.12366.
 *   s = Σ_t mask_t log π(y_t)/n,   w_i ∝ exp((1 - n_i/maxTokens)/lambda), summing to 1 over the correct rows of a group
 *   L = -mean over groups of [Σ_correct w_i s_i - tau log mean_wrong exp(s_j/tau)] + (klWeight/2) max(0, KL - delta)²
 *   KL = mean over tokens of d (`k1`) or e^{-d} - 1 + d (`k3`),  d = log π_old - log π:  an estimate of KL(π_old ‖ π)
 *   ds_i = -w_i/groups,  ds_j = softmax_wrong(s/tau)_j/groups, then mask_t/n
 *   of the constraint klWeight max(0, KL - delta) mask_t/tokens times -1 (`k1`) or e^{-d} - 1 (`k3`)
 * Correct is a reward above 0; a NaN reward or an empty completion is of neither kind. A group without both kinds gives
 * 0 and counts in the mean. `lengthReward: false` is DisCO, w uniform (lambda to infinity). Not separable: the KL that
 * is squared is that of the step. The released code has the gradient of klWeight/2, reports a surrogate in place of the
 * loss, and takes the padded width of a batch for maxTokens. Not the doubly robust DRPO of arXiv:2506.01183. Defaults:
 * the released ones. `details`: `scores` s and `weights` w [rows], 0 where they play no part in w; `terms` [2]:
 * objective and penalty.
 */
export const decoupledReward = defineObjective({
  name: 'decoupled-reward',
  title: 'Decoupled reward policy optimisation',
  summary:
    'Raises correct completions, the shorter the more, and lowers the likeliest wrong ones, within a trust region.',
  paper: 'Li et al. 2025, arXiv:2510.04474',
  rows: 'groups',
  separable: false,
  needs: { policy: ['logprobs'], reference: [], old: ['logprobs'], perRow: ['groups', 'rewards'] },
  options: {
    tau: z.number().positive().default(10).describe('Temperature of the wrong completions: low takes the likeliest.'),
    lengthReward: z.boolean().default(true).describe('Prefer short correct completions; without it this is DisCO.'),
    lambda: z.number().positive().default(0.1).describe('Temperature of the length reward 1 - n/maxTokens.'),
    maxTokens: z.number().positive().default(8192).describe('Length at which the length reward is 0.'),
    klWeight: z.number().min(0).default(1000).describe('Weight of the squared excess of the KL; half of it counts.'),
    delta: z.number().default(1e-4).describe('KL from the sampling policy that costs nothing, in nats per token.'),
    klEstimator: z.enum(['k1', 'k3']).default('k1').describe('Estimator of KL(old ‖ policy).'),
  },
  evaluate(input, { tau, lengthReward, lambda, maxTokens, klWeight, delta, klEstimator }) {
    const { groups, rewards } = input.perRow;
    const lengths = rowLengths(input);
    const scores = rowSums(input, input.policy.logprobs).map((sum, row) => sum / divisor(lengths[row]!));
    const weights = new Float64Array(input.rows);
    const slopes = new Float64Array(input.rows);
    const step = divisor(input.totals.groups);
    let objective = 0;
    for (const rows of rowsByGroup(groups)) {
      const judged = rows.filter((row) => lengths[row]! > 0 && !Number.isNaN(rewards[row]!));
      const correct = judged.filter((row) => rewards[row]! > 0);
      const wrong = judged.filter((row) => !(rewards[row]! > 0));
      if (correct.length === 0 || wrong.length === 0) continue;
      const logits = correct.map((row) => (lengthReward ? (1 - lengths[row]! / maxTokens) / lambda : 0));
      const norm = logSumExp(logits);
      correct.forEach((row, i) => {
        weights[row] = Math.exp(logits[i]! - norm);
        slopes[row] = -weights[row]! / step;
        objective += weights[row]! * scores[row]!;
      });
      const tempered = wrong.map((row) => scores[row]! / tau);
      const most = logSumExp(tempered);
      objective -= tau * (most - Math.log(wrong.length));
      wrong.forEach((row, i) => {
        slopes[row] = Math.exp(tempered[i]! - most) / step;
      });
    }
    const kl = tokenKl(input, input.old.logprobs, input.policy.logprobs, klEstimator);
    const excess = Math.max(0, kl.mean - delta);
    const terms = Float64Array.of(objective / step, (klWeight / 2) * excess * excess);
    // The estimator's slope is by d = log π_old - log π.
    const constraint = (klWeight * excess) / divisor(input.totals.scoredTokens);
    const perRow = slopes.map((slope, row) => slope / divisor(lengths[row]!));
    const logprobs = spreadRows(input, perRow).map((slope, at) => slope - constraint * kl.slopes[at]!);
    return {
      loss: terms[1]! - terms[0]!,
      metrics: {
        kl: { sum: kl.mean * input.totals.scoredTokens, count: input.totals.scoredTokens },
        'kl/clampedFraction': { sum: kl.clamped, count: input.totals.scoredTokens },
        ...entropyMetric(input),
      },
      cotangents: { logprobs },
      details: { scores, weights, terms },
    };
  },
});
