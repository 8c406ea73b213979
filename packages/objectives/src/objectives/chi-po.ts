import { z } from 'zod';
import { fOptimum } from '../claims.js';
import { halfChi2PlusKl } from '../divergences/half-chi2-plus-kl.js';
import { evaluateTransformed, linkNeeds, linkOptions, ratioTransform } from '../divergences/preference.js';
import { defineObjective } from '../objective.js';

/**
 * chi-PO: DPO with chi-squared beside KL in the link, against overoptimisation. Huang et al. 2024, arXiv:2407.13399.
 *   L = mean over pairs of softplus(-z),  z = clip(beta φ(r_chosen)) - clip(beta φ(r_rejected)),  clip to [-clip, clip]
 *   φ(r) = chi2Weight exp(min(a r, exponentCap)) + klWeight r,  a = ratioExponent
 *   r = Σ_t mask_t (log π(y_t) - log π_ref(y_t))                                    summed
 *   dL/dlogπ(y_t) = ∓ beta/pairs σ(-z) φ'(r) mask_t        - chosen, + rejected; 0 where clipped
 * The paper's link is φ = e^r + r (both weights and a at 1, see `halfChi2PlusKl`), clipped at twice the largest reward.
 * Its practical variant exponentiates a r, held to [-88, 20] (of which the lower end changes nothing in float64), and
 * weighs r by a number of its own. The KL part cannot be left out: chi-squared alone is no link, and its bare loss is
 * `marginThroughTransform(ratioTransform(...))`. chi2Weight 0, klWeight 1 is DPO.
 * No code by the authors was read: constants and the practical form are from a summary of the paper, and beta's default is
 * that of DPO. `details` are those of `evaluateTransformed`.
 */
export const chiPo = defineObjective({
  name: 'chi-po',
  title: 'chi-squared preference optimisation',
  summary: 'DPO that holds back where the policy would leave what the reference covers.',
  paper: 'Huang et al. 2024, arXiv:2407.13399',
  rows: 'pairs',
  separable: true,
  needs: linkNeeds,
  options: {
    beta: linkOptions.beta,
    chi2Weight: z.number().min(0).default(1).describe('Of the chi-squared part of the link, the ratio itself.'),
    klWeight: z.number().positive().default(1).describe('Of the KL part of the link, the logratio.'),
    ratioExponent: z.number().positive().default(1).describe('The chi-squared part is the ratio to this power.'),
    clip: z
      .number()
      .min(0)
      .default(0)
      .describe("Each side's reward is held to this, twice the largest true reward in the paper; 0 clips nothing."),
    exponentCap: linkOptions.exponentCap.default(20),
    loggedRewards: linkOptions.loggedRewards,
  },
  atReference: () => Math.LN2,
  claims: ({ beta, clip, chi2Weight, klWeight, ratioExponent }) =>
    clip === 0 && chi2Weight === 1 && klWeight === 1 && ratioExponent === 1
      ? { optimum: fOptimum(halfChi2PlusKl, beta) }
      : {},
  evaluate(input, { beta, clip, loggedRewards, ...link }) {
    return evaluateTransformed(input, ratioTransform(link), {
      beta,
      loggedRewards,
      clip: clip === 0 ? Number.POSITIVE_INFINITY : clip,
    });
  },
});
