import { z } from 'zod';
import { discoveredLoss } from '../margin-losses.js';
import { definePairObjective, ofMargin, pairOptions } from '../pair-objective.js';

/**
 * Discovered preference optimisation, the log-ratio modulated loss. Lu et al. 2024, arXiv:2406.08414, eq. 5.
 *   z = beta (Δchosen - Δrejected),  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t)),  M = σ(z/τ)
 *   L = mean over pairs of M e^-z + (1 - M) softplus(-z)
 *   dL/dlogπ(y_t) = ± beta/pairs (M (1-M)/τ (e^-z - softplus(-z)) - (1-M) σ(-z) - M e^-z) mask_t    + chosen, - rejected
 * Found by search, not derived, and not convex. M e^-z is taken as exp(log M - z), so that a pair far on the wrong side does
 * not overflow while τ <= 1; with a larger τ the loss itself grows as exp(-z (1 - 1/τ)). At the reference ½ + ½ log 2.
 */
export const discopop = definePairObjective({
  name: 'discopop',
  title: 'Discovered preference optimisation',
  summary: 'Blends a logistic loss, where the pair is ordered wrongly, into an exponential one.',
  paper: 'Lu et al. 2024, arXiv:2406.08414',
  options: {
    beta: pairOptions.beta(0.05),
    tau: z.number().positive().default(0.05).describe('Width of the blend, in units of the margin.'),
  },
  loss: (scores, { beta, tau }) => ofMargin(beta, scores, (margin) => discoveredLoss(margin, tau)),
});
