import { z } from 'zod';
import { modelledKl } from '../margin-losses.js';
import { definePairObjective, ofMargin, pairOptions } from '../pair-objective.js';

/**
 * Efficient exact optimisation on preference pairs (EXO-pref). Ji et al. 2024, arXiv:2402.00856, eq. 16.
 *   z = beta (Δchosen - Δrejected),  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over pairs of σ(z) log(σ(z)/(1-ε)) + σ(-z) log(σ(-z)/ε)                    KL(σ(z) ‖ 1-ε)
 *   dL/dlogπ(y_t) = ± beta/pairs σ(z) σ(-z) (z - log((1-ε)/ε)) mask_t                   + chosen, - rejected
 * The reverse KL from what the policy says to smoothed labels; least, 0, at σ(z) = 1 - ε. ε > 0: with hard labels the KL
 * is infinite. The authors' code takes log-targets (0, -10), which do not sum to 1; here they do, as in TRL. Default
 * ε 1e-3, the authors' advice. The slope vanishes for |z| → ∞, on the wrong side too.
 */
export const exo = definePairObjective({
  name: 'exo',
  title: 'Efficient exact optimisation',
  summary: "Draws the policy's preference to smoothed labels by the reverse KL, which seeks modes.",
  paper: 'Ji et al. 2024, arXiv:2402.00856',
  options: {
    beta: pairOptions.beta(0.1),
    labelSmoothing: z
      .number()
      .positive()
      .lt(1)
      .default(1e-3)
      .describe('Probability that the labels give to the rejected completion.'),
  },
  loss: (scores, { beta, labelSmoothing }) => {
    const target = Math.log1p(-labelSmoothing) - Math.log(labelSmoothing);
    return ofMargin(beta, scores, (margin) => modelledKl(margin, target));
  },
});
