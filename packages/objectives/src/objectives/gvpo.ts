import { z } from 'zod';
import { rowsByGroup } from '../advantages/index.js';
import { gibbs, negativeReward, sumOfDescents } from '../claims.js';
import { divisor, rowDifferences, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';

/**
 * Group variance policy optimisation. Zhang et al. 2025, arXiv:2504.19599, eq. 11.
 *   r_i = Σ_t (log π(y_t) - log π_anchor(y_t)),  the anchor being the policy that sampled, or the reference
 *   e_i = beta (r_i - mean r) - (R_i - mean R)                                      means over the k rows of a group
 *   L = mean over groups of 1/(k - 1) Σ_i e_i²/2;   dL/dlog π(y_t) = beta e_i/((k - 1) groups)
 * The residuals of a group sum to 0, so the means have no gradient of their own. The optimum is that of the KL-regularised
 * reward, π ∝ π_anchor exp(R/beta), whatever sampled the rows. An empty completion is a row with r = 0; a row whose reward is
 * NaN takes no part; a group with fewer than 2 rows left is 0 and still counts. Defaults: beta 0.1,
 * anchor the policy that sampled, as in the authors' runs. Details: `residuals` and
 * `implicitRewards`, [rows].
 */
export const gvpo = defineObjective({
  name: 'gvpo',
  title: 'Group variance policy optimisation',
  summary: 'Fits differences of implicit rewards within a group to differences of rewards.',
  paper: 'Zhang et al. 2025, arXiv:2504.19599',
  rows: 'groups',
  separable: true,
  needs: { policy: ['logprobs'], reference: [], old: ['logprobs'], perRow: ['rewards'] },
  needsOf: ({ anchor }) => ({
    policy: ['logprobs'],
    reference: anchor === 'reference' ? ['logprobs'] : [],
    old: anchor === 'old' ? ['logprobs'] : [],
    perRow: ['rewards'],
  }),
  claims: ({ beta, anchor }) =>
    anchor === 'reference'
      ? { optimum: gibbs(beta), rewardShift: true }
      : { descends: sumOfDescents([{ weight: beta, of: negativeReward }]), rewardShift: true },
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the pull to the anchor.'),
    anchor: z
      .enum(['old', 'reference'])
      .default('old')
      .describe('What the policy is pulled to: the policy that sampled, or the reference.'),
  },
  evaluate(input, { beta, anchor }) {
    const { policy, old, reference, perRow, totals } = input;
    const anchored = anchor === 'old' ? old.logprobs : reference.logprobs!;
    const groups = divisor(totals.groups);
    const implicitRewards = rowDifferences(input, policy.logprobs, anchored).map((r) => beta * r);
    const residuals = new Float64Array(input.rows);
    const shares = new Float64Array(input.rows);
    for (const group of rowsByGroup(perRow.groups!)) {
      const judged = group.filter((row) => !Number.isNaN(perRow.rewards[row]));
      if (judged.length < 2) continue;
      const gaps = judged.map((row) => implicitRewards[row]! - perRow.rewards[row]!);
      const center = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
      judged.forEach((row, at) => {
        residuals[row] = gaps[at]! - center;
        shares[row] = 1 / (judged.length - 1);
      });
    }
    const sum = total(residuals.map((e, row) => (shares[row]! * e * e) / 2));
    const slopes = residuals.map((e, row) => (beta * shares[row]! * e) / groups);
    return {
      loss: sum / groups,
      metrics: {
        'rewards/implicit': { sum: total(implicitRewards), count: input.rows },
        ...entropyMetric(input),
      },
      cotangents: { logprobs: spreadRows(input, slopes) },
      details: { residuals, implicitRewards },
    };
  },
});
