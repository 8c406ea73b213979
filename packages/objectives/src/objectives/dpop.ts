import { z } from 'zod';
import { sigmoid, softplus } from '../numerics.js';
import { definePairObjective, pairOptions } from '../pair-objective.js';

/**
 * DPO-positive. Pal et al. 2024 (Smaug), arXiv:2402.13228, eq. 3. From the paper's definition alone: no reference code was
 * compared.
 *   z = beta (Δchosen - Δrejected - λ max(0, -Δchosen)),  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over pairs of softplus(-z)
 *   dL/dlogπ(y_t) = - beta/pairs σ(-z) (1 + λ 1[Δchosen < 0]) mask_t                    chosen
 *                   + beta/pairs σ(-z) mask_t                                           rejected
 * The penalty holds the likelihood of chosen above the reference's. λ = 0 is `dpo`.
 */
export const dpop = definePairObjective({
  name: 'dpop',
  title: 'DPO-positive',
  summary: "DPO that does not let the likelihood of chosen fall below the reference's.",
  paper: 'Pal et al. 2024, arXiv:2402.13228',
  options: {
    beta: pairOptions.beta(0.3),
    lambda: z.number().min(0).default(50).describe('Weight of the penalty where chosen is less likely than before.'),
  },
  loss: ({ chosen, rejected }, { beta, lambda }) => {
    const margin = beta * (chosen - rejected - lambda * Math.max(0, -chosen));
    const slope = beta * sigmoid(-margin);
    return { loss: softplus(-margin), chosen: -slope * (chosen < 0 ? 1 + lambda : 1), rejected: slope };
  },
});
