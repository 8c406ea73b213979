import { z } from 'zod';
import { sigmoid, softplus } from '../numerics.js';
import { definePairObjective, pairOptions } from '../pair-objective.js';

/**
 * Binary classifier optimisation on pairs. Jung et al. 2024, arXiv:2404.04656, eq. 8.
 *   ρ = beta Δ,  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over pairs of softplus(δ - ρ_chosen) + softplus(ρ_rejected - δ)
 *   dL/dlogπ(y_t) = - beta/pairs σ(δ - ρ_chosen) mask_t                                 chosen
 *                   + beta/pairs σ(ρ_rejected - δ) mask_t                               rejected
 * δ is a constant of the step: 0 as in TRL, which has dropped the running mean of all implicit rewards that the paper
 * and TRL before 0.25 compare with. A loop may hand that in as the option; `bco` keeps it by itself, on the two rows apart,
 * and its mean over rows is half of this one over pairs. 2 log 2 at the reference with δ = 0.
 */
export const bcoPair = definePairObjective({
  name: 'bco-pair',
  title: 'Binary classifier optimisation on pairs',
  summary: 'Tells chosen from rejected one by one, by the sign of the implicit reward less a shift.',
  paper: 'Jung et al. 2024, arXiv:2404.04656',
  options: {
    beta: pairOptions.beta(0.01),
    delta: z.number().default(0).describe('What implicit rewards are compared with: 0 (TRL), or their running mean.'),
  },
  loss: ({ chosen, rejected }, { beta, delta }) => {
    const [good, bad] = [beta * chosen - delta, beta * rejected - delta];
    return { loss: softplus(-good) + softplus(bad), chosen: -beta * sigmoid(-good), rejected: beta * sigmoid(bad) };
  },
});
