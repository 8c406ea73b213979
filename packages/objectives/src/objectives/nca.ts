import { winRates } from '../claims.js';
import { sigmoid, softplus } from '../numerics.js';
import { definePairObjective, pairOptions } from '../pair-objective.js';

/**
 * Noise contrastive alignment on pairs. Chen et al. 2024, arXiv:2402.05369, eq. 12 with two completions, hard labels.
 *   ρ = beta Δ,  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over pairs of softplus(-ρ_chosen) + ½ softplus(ρ_chosen) + ½ softplus(ρ_rejected)
 *   dL/dlogπ(y_t) = beta/pairs (3/2 σ(ρ_chosen) - 1) mask_t                             chosen
 *                   beta/pairs ½ σ(ρ_rejected) mask_t                                   rejected
 * Each side is judged by itself, not by its margin: the likelihood of chosen is held up, its implicit reward drawn to
 * log 2. 2 log 2 at the reference.
 */
export const nca = definePairObjective({
  name: 'nca',
  title: 'Noise contrastive alignment',
  summary: 'Judges each completion by its own logratio, so that the likelihood of chosen does not fall with the other.',
  paper: 'Chen et al. 2024, arXiv:2402.05369',
  options: { beta: pairOptions.beta(0.01) },
  // Each σ(ρ) is w/(w + 1/2); at beta 1 that is normalised by itself.
  claims: ({ beta }) =>
    beta === 1
      ? {
          optimum: {
            formula: '2 w π_ref, w the win rate against π_ref',
            logprobs: (world) => winRates(world).map((rate, i) => world.reference[i]! + Math.log(2 * rate)),
          },
        }
      : {},
  claimedAt: [{ beta: 1 }],
  loss: ({ chosen, rejected }, { beta }) => {
    const [good, bad] = [beta * chosen, beta * rejected];
    return {
      loss: softplus(-good) + 0.5 * softplus(good) + 0.5 * softplus(bad),
      chosen: beta * (0.5 * sigmoid(good) - sigmoid(-good)),
      rejected: 0.5 * beta * sigmoid(bad),
    };
  },
});
