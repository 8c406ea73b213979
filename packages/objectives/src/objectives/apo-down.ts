import { sigmoid } from '../numerics.js';
import { definePairObjective, pairOptions } from '../pair-objective.js';

/**
 * Anchored preference optimisation, down. D'Oosterlinck et al. 2024, arXiv:2408.06266, eq. 8: for pairs whose chosen side
 * is worse than what the policy writes.
 *   ρ = beta Δ,  z = ρ_chosen - ρ_rejected,  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over pairs of σ(ρ_chosen) + 1 - σ(z)
 *   dL/dlogπ(y_t) = beta/pairs (σ(ρ_chosen) σ(-ρ_chosen) - σ(z) σ(-z)) mask_t           chosen
 *                   beta/pairs σ(z) σ(-z) mask_t                                        rejected
 * Chosen falls and rejected falls further. At the reference, 1, the two pulls on chosen cancel.
 */
export const apoDown = definePairObjective({
  name: 'apo-down',
  title: 'Anchored preference optimisation, down',
  summary: 'Lowers both completions, rejected further than chosen.',
  paper: "D'Oosterlinck et al. 2024, arXiv:2408.06266",
  options: { beta: pairOptions.beta(0.1) },
  loss: ({ chosen, rejected }, { beta }) => {
    const good = beta * chosen;
    const z = beta * chosen - beta * rejected;
    const turn = sigmoid(z) * sigmoid(-z);
    return {
      loss: sigmoid(good) + sigmoid(-z),
      chosen: beta * (sigmoid(good) * sigmoid(-good) - turn),
      rejected: beta * turn,
    };
  },
});
