import { hingeLoss } from '../margin-losses.js';
import { definePairObjective, ofMargin, pairOptions } from '../pair-objective.js';

/**
 * Hinge loss on the margin of implicit rewards, the `hinge-norm` of RSO. Liu et al. 2023, arXiv:2309.06657, eq. 11.
 *   z = beta (Δchosen - Δrejected),  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over pairs of max(0, 1 - z)
 *   dL/dlogπ(y_t) = ∓ beta/pairs 1[z < 1] mask_t                                        - chosen, + rejected
 * A pair beyond the margin has no gradient; at z = 1 itself the derivative is taken to be 0.
 */
export const hinge = definePairObjective({
  name: 'hinge',
  title: 'Hinge loss',
  summary: 'Raises the logratio of chosen over that of rejected until their margin reaches 1 / beta.',
  paper: 'Liu et al. 2023, arXiv:2309.06657',
  options: { beta: pairOptions.beta(0.1) },
  loss: (scores, { beta }) => ofMargin(beta, scores, hingeLoss),
});
