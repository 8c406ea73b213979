import { sigmoid } from '../numerics.js';
import { definePairObjective, pairOptions } from '../pair-objective.js';

/**
 * Anchored preference optimisation, zero. D'Oosterlinck et al. 2024, arXiv:2408.06266, eq. 7: for pairs whose chosen side
 * is better than what the policy writes.
 *   ρ = beta Δ,  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over pairs of 1 - σ(ρ_chosen) + σ(ρ_rejected)
 *   dL/dlogπ(y_t) = ∓ beta/pairs σ(ρ) σ(-ρ) mask_t                                      - chosen, + rejected
 * Chosen rises and rejected falls, each by itself. Bounded between 0 and 2; 1 at the reference, where it is steepest.
 */
export const apoZero = definePairObjective({
  name: 'apo-zero',
  title: 'Anchored preference optimisation, zero',
  summary: 'Raises chosen and lowers rejected, each against the reference and not against the other.',
  paper: "D'Oosterlinck et al. 2024, arXiv:2408.06266",
  options: { beta: pairOptions.beta(0.1) },
  loss: ({ chosen, rejected }, { beta }) => {
    const [good, bad] = [beta * chosen, beta * rejected];
    return {
      loss: sigmoid(-good) + sigmoid(bad),
      chosen: -beta * sigmoid(good) * sigmoid(-good),
      rejected: beta * sigmoid(bad) * sigmoid(-bad),
    };
  },
});
