import { z } from 'zod';
import { divergenceDescent, negativeReward, sumOfDescents } from '../claims.js';
import { reverseKl } from '../divergences/index.js';
import { divisor, rowDifferences, rowSums, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';

/**
 * Nash mirror descent from human feedback: policy gradient on being preferred to a mixture of policy and reference. Munos et
 * al. 2023, arXiv:2312.00886.
 *   d_t = log π(y_t) - log π_ref(y_t),  r = Σ_t mask_t d_t,  L_y = Σ_t mask_t log π(y_t)
 *   sequence  L = mean over rows of beta stop(r) L_y - (P - 1/2) L_y
 *             dL/dlog π(y_t) = (beta r - (P - 1/2)) mask_t/rows
 *   token     L = mean over rows of beta Σ_t mask_t stop(d_t) log π(y_t) - (P - 1/2) L_y
 *             dL/dlog π(y_t) = (beta d_t - (P - 1/2)) mask_t/rows
 * Rows are completions of the policy; `perRow.rewards` are P, how likely each is to be preferred to a completion of the
 * geometric mixture (`geometricMixture`, share of the reference 0.5 in TRL); NaN is not judged and pulls only to the
 * reference. The expected gradient of `sequence`, the default, is that of beta KL(π ‖ π_ref) - E P. `token` is TRL's, which
 * charges a token its own log-ratio and nothing of what follows from it: no gradient of the sequence's KL. The value of the
 * loss says nothing; `kl` is logged. beta 0.1 as TRL. `details`: `kls` r [rows].
 */
export const nashMd = defineObjective({
  name: 'nash-md',
  title: 'Nash mirror descent',
  summary: 'Raises completions preferred to those of a mixture of policy and reference, and pulls to the reference.',
  paper: 'Munos et al. 2023, arXiv:2312.00886',
  rows: 'single',
  separable: true,
  detached: ['logprobs:kl'],
  needs: { policy: ['logprobs'], reference: ['logprobs'], perRow: ['rewards'] },
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the KL to the reference.'),
    klCredit: z
      .enum(['sequence', 'token'])
      .default('sequence')
      .describe("What a token is charged: the log-ratio of the whole completion, or its own alone (TRL's)."),
  },
  claims: ({ beta, klCredit }) =>
    klCredit === 'token'
      ? {}
      : {
          descends: sumOfDescents([
            { weight: 1, of: negativeReward },
            { weight: beta, of: divergenceDescent(reverseKl) },
          ]),
        },
  evaluate(input, { beta, klCredit }) {
    const { policy, stopped, reference, perRow, completionMask } = input;
    const rows = divisor(input.totals.rows);
    const kls = rowDifferences(input, stopped.logprobs, reference.logprobs);
    const charges =
      klCredit === 'sequence'
        ? spreadRows(input, kls)
        : stopped.logprobs.map((logprob, at) => (completionMask[at] ? logprob - reference.logprobs[at]! : 0));
    const advantages = perRow.rewards.map((preference) => (Number.isNaN(preference) ? 0 : preference - 0.5));
    const gains = spreadRows(input, advantages);
    const weights = charges.map((charge, at) => beta * charge - gains[at]!);
    const losses = weights.map((weight, at) => (completionMask[at] ? weight * policy.logprobs[at]! : 0));
    const judged = perRow.rewards.filter((preference) => !Number.isNaN(preference));
    return {
      loss: total(rowSums(input, losses)) / rows,
      metrics: {
        kl: { sum: total(kls), count: input.rows },
        preference: { sum: total(judged), count: judged.length },
        ...entropyMetric(input),
      },
      cotangents: { logprobs: weights.map((weight) => weight / rows) },
      details: { kls },
    };
  },
});
