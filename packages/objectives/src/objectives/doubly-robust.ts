import { z } from 'zod';
import { tokenKl } from '../estimators/index.js';
import { divisor, rowDifferences, rowSums, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';

/**
 * Doubly robust preference optimisation (DRPO; another method than decoupled rewards, which shares the letters). Xu et al.
 * 2025, arXiv:2506.01183, as in the authors' code (DRPO4LLM), whose two paths disagree on the 1/2 and on the clip.
 *   L =  - mean over external rows of stop(clip(π(y)/π_ref(y), 1/C, C)) (label - g(y, y')) log π(y)
 *        - mean over own rows of (g(y*, y') - 1/2) log π(y*)
 *        + beta mean over own rows of Σ_t k(log π(y*_t) - log π_ref(y*_t))
 *   dL/dlog π(y_t) = -w (label - g) mask_t/external rows;   (-(g - 1/2) + beta k') mask_t/own rows
 * External rows (`perRow.external` 1) are completions of the data, drawn like the reference, with `perRow.labels` 1 where y
 * was preferred to its opponent y'; own rows are fresh ones of the policy. `perRow.rewards` are g, a preference model's
 * probability that the row beats y': NaN is no judgement, advantage 0. The first term corrects the second where g is wrong,
 * and is 0 on average where g is right; the ratio needs the reference to be what drew the data. Either will do. The ratio is
 * of the whole completion. The code's KL is k3, whose gradient is that of KL(π_ref ‖ π): `klEstimator: 'k2'` descends
 * KL(π ‖ π_ref). C 10 is the authors' default; that of beta is not verified. `details`, [rows]: `advantages`, `ratios` (1 on own rows).
 */
export const doublyRobust = defineObjective({
  name: 'doubly-robust',
  title: 'Doubly robust preference optimisation',
  summary: 'Policy gradient on a preference model, corrected by the data where that model is wrong.',
  paper: 'Xu et al. 2025, arXiv:2506.01183',
  rows: 'single',
  separable: true,
  detached: ['logprobs:ratio'],
  needs: { policy: ['logprobs'], reference: ['logprobs'], perRow: ['labels', 'rewards', 'external'] },
  options: {
    beta: z.number().min(0).default(0.1).describe('Weight of the KL to the reference.'),
    ratioBound: z.number().min(1).default(10).describe('C: the ratio is held to [1/C, C].'),
    klEstimator: z
      .enum(['k1', 'k2', 'k3'])
      .default('k3')
      .describe(
        'What is trained on: k3 as published descends KL(reference ‖ policy), k2 KL(policy ‖ reference), k1 none.',
      ),
  },
  claims: () => ({ rewardsAre: 'win-rates' }),
  evaluate(input, { beta, ratioBound, klEstimator }) {
    const { policy, stopped, reference, perRow, totals, tokens } = input;
    const isExternal = (row: number) => perRow.external[row] === 1;
    const counts = { external: divisor(totals.externalRows), own: divisor(totals.rows - totals.externalRows) };
    const logBound = Math.log(ratioBound);
    const ratios = rowDifferences(input, stopped.logprobs, reference.logprobs).map((log, row) =>
      isExternal(row) ? Math.exp(Math.min(Math.max(log, -logBound), logBound)) : 1,
    );
    const advantages = perRow.rewards.map((preference, row) => {
      if (Number.isNaN(preference)) return 0;
      return isExternal(row) ? perRow.labels[row]! - preference : preference - 0.5;
    });
    const weights = advantages.map((advantage, row) => {
      return (-ratios[row]! * advantage) / (isExternal(row) ? counts.external : counts.own);
    });
    const kl = tokenKl(input, policy.logprobs, reference.logprobs, klEstimator);
    const klWeights = Float64Array.from(perRow.external, (_, row) => (isExternal(row) ? 0 : beta / counts.own));
    const rowKls = rowSums(input, kl.values);
    const logprobs = rowSums(input, policy.logprobs);
    const side = (values: Float64Array, external: boolean) => {
      const taken = values.filter((_, row) => isExternal(row) === external);
      return { sum: total(taken), count: taken.length };
    };
    return {
      loss: total(logprobs.map((logprob, row) => weights[row]! * logprob + klWeights[row]! * rowKls[row]!)),
      metrics: {
        'advantages/external': side(advantages, true),
        'advantages/own': side(advantages, false),
        ratio: side(ratios, true),
        kl: side(rowKls, false),
        ...entropyMetric(input),
      },
      cotangents: {
        logprobs: spreadRows(input, weights).map(
          (weight, at) => weight + klWeights[Math.floor(at / tokens)]! * kl.slopes[at]!,
        ),
      },
      details: { advantages, ratios },
    };
  },
});
