import { z } from 'zod';
import { fOptimum } from '../claims.js';
import { alphaDivergence, alphaFromTrl } from '../divergences/alpha.js';
import { type Divergence, isLink } from '../divergences/divergence.js';
import { linksByName } from '../divergences/named.js';
import { evaluateTransformed, linkNeeds, linkOf, linkOptions } from '../divergences/preference.js';
import { defineObjective } from '../objective.js';

/**
 * f-DPO: DPO under another divergence from the reference than reverse KL. Wang et al. 2023, arXiv:2309.16240; the default
 * is reverse KL, that is DPO.
 *   L = mean over pairs of (1-ε) softplus(-z) + ε softplus(z),  z = beta (h(r_chosen) - h(r_rejected))
 *   h(r) = f'(e^r),  r = Σ_t mask_t (log π(y_t) - log π_ref(y_t))                   summed; constants of f' cancel
 *   dL/dlogπ(y_t) = ∓ beta/pairs ((1-ε) σ(-z) - ε σ(z)) h'(r) mask_t                - chosen, + rejected
 * Only links are options: f'(0+) = -∞, or the partition term does not cancel within a pair. Authors' sweeps: beta 0.1 to
 * 0.9 on dialogues, forward KL at 0.03; alpha 0.3, 0.5, 0.7.
 *
 * `alpha` is the paper's: f'(u) = (1 - u^-alpha)/alpha, 0 reverse KL, 1 forward KL. TRL's `f_alpha_divergence_coef` is one
 * minus that in its code (its option text says otherwise, and at the default 1/2 both agree): `alphaConvention: 'trl'`
 * takes its number as it is. TRL also has numbers above 1 (2 is half of Pearson's chi-squared), an alpha below 0: no link,
 * and refused where it is given as the paper's. Under `trl` it is taken, so that such runs can be repeated, and nothing is
 * claimed of where they end: it is not the optimum of the reward minus beta D_f.
 * `loggedRewards: 'logratio'` logs what TRL logs; the default is the reward that the loss implies, up to a constant of the
 * prompt. TRL caps exponents for alpha alone, at 80 in float32 and 11 in float16; here every link is capped.
 * `details` are those of `evaluateTransformed`.
 */
export const fDpo = defineObjective({
  name: 'f-dpo',
  title: 'f-divergence DPO',
  summary:
    "Raises f' of the ratio of chosen over that of rejected: DPO that stays near the reference in another sense.",
  paper: 'Wang et al. 2023, arXiv:2309.16240',
  rows: 'pairs',
  separable: true,
  needs: linkNeeds,
  options: {
    beta: linkOptions.beta,
    divergence: z
      .enum(['reverse-kl', 'forward-kl', 'js', 'alpha', 'half-chi2-plus-kl', 'squared-hellinger', 'neyman-chi2'])
      .default('reverse-kl')
      .describe('From the reference; those whose partition term cancels within a pair.'),
    alpha: z.number().min(0).default(0.5).describe('Of the alpha divergence alone: 0 is reverse KL, 1 forward KL.'),
    alphaConvention: z
      .enum(['paper', 'trl'])
      .default('paper')
      .describe(
        "Whose alpha that is: the paper's, or TRL's coefficient, one minus the paper's; above 1 that is no link, and the " +
          'loss has no optimum that is known.',
      ),
    labelSmoothing: linkOptions.labelSmoothing,
    exponentCap: linkOptions.exponentCap,
    loggedRewards: linkOptions.loggedRewards,
  },
  atReference: () => Math.LN2,
  claims: (options) => {
    const divergence = chosen(options);
    return options.labelSmoothing === 0 && isLink(divergence) ? { optimum: fOptimum(divergence, options.beta) } : {};
  },
  evaluate: (input, options) => evaluateTransformed(input, linkOf(chosen(options), options.exponentCap), options),
});

function chosen({
  divergence,
  alpha,
  alphaConvention,
}: {
  readonly divergence: keyof typeof linksByName | 'alpha';
  readonly alpha: number;
  readonly alphaConvention: 'paper' | 'trl';
}): Divergence {
  if (divergence !== 'alpha') return linksByName[divergence];
  return alphaDivergence(alphaConvention === 'trl' ? alphaFromTrl(alpha) : alpha);
}
