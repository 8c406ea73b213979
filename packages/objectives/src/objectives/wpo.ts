import { z } from 'zod';
import { gibbs } from '../claims.js';
import { confidenceNeeds, confidenceWeights, weighPairs } from '../confidence-weighted.js';
import { defineObjective } from '../objective.js';
import { pairOptions } from '../pair-objective.js';
import { dpo } from './dpo.js';

/**
 * Weighted preference optimisation. Zhou et al. 2024, arXiv:2406.11827, eq. 2; label smoothing as in cDPO.
 *   w = w_chosen w_rejected,  w_side = exp(mean_t (log π(y_t) - log Σ_v π_v²))           constant, at most `maxWeight`
 *   z = beta (Δchosen - Δrejected),  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over pairs of w ((1-ε) softplus(-z) + ε softplus(z))
 *   dL/dlogπ(y_t) = ∓ beta/pairs w ((1-ε) σ(-z) - ε σ(z)) mask_t                        - chosen, + rejected
 * Pairs that the policy would write itself count more, as if sampled from it. A weight may pass 1: a token can be
 * likelier than the distribution's average. TRL 0.12 bounded it there (`maxWeight` 1), TRL since and the default do not
 * (0). Other losses are weighted by `confidenceWeighted`. `details` adds `weights` [pairs]; `losses` carry them.
 */
export const wpo = defineObjective({
  name: 'wpo',
  title: 'Weighted preference optimisation',
  summary: 'DPO in which a pair counts by how likely the policy is to write it.',
  paper: 'Zhou et al. 2024, arXiv:2406.11827',
  rows: 'pairs',
  separable: true,
  needs: { policy: confidenceNeeds.policy, reference: ['logprobs'] },
  detached: ['logprobs:weight', 'logSumSquares'],
  options: {
    beta: pairOptions.beta(0.01),
    labelSmoothing: pairOptions.labelSmoothing(),
    maxWeight: z.number().min(0).default(0).describe("Upper bound of a pair's weight; 0: none."),
  },
  claims: ({ beta, labelSmoothing }) => (labelSmoothing === 0 ? { optimum: gibbs(beta) } : {}),
  evaluate: (input, { maxWeight, ...options }) =>
    weighPairs(dpo.evaluate(input, options), confidenceWeights(input, maxWeight), input),
});
