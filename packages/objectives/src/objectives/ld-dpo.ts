import { z } from 'zod';
import { gibbs } from '../claims.js';
import { sharedLengthWeights, withTokenWeights } from '../length-desensitized.js';
import { defineObjective } from '../objective.js';
import { pairNeeds, pairOptions } from '../pair-objective.js';
import { dpo } from './dpo.js';

/**
 * Length-desensitised DPO. Liu et al. 2024, arXiv:2409.06411, eq. 9 and 10; TRL's `ld_alpha`; label smoothing as in cDPO.
 *   a_t = 1 for position t <= min(n_chosen, n_rejected) of the pair, alpha beyond
 *   z = beta (Δchosen - Δrejected),  Δ = Σ_t mask_t a_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over pairs of (1-ε) softplus(-z) + ε softplus(z)
 *   dL/dlogπ(y_t) = ∓ beta/pairs a_t ((1-ε) σ(-z) - ε σ(z)) mask_t                      - chosen, + rejected
 * alpha 1 is `dpo`, 0 cuts both sides to equal length. Logged rewards and `logps/*` carry the weights, as in TRL. Other
 * losses take them through `lengthDesensitized`. `details` adds `tokenWeights` [rows, tokens].
 */
export const ldDpo = defineObjective({
  name: 'ld-dpo',
  title: 'Length-desensitised DPO',
  summary: "DPO in which tokens beyond the shorter completion's length count less.",
  paper: 'Liu et al. 2024, arXiv:2409.06411',
  rows: 'pairs',
  separable: true,
  needs: pairNeeds,
  options: {
    beta: pairOptions.beta(0.1),
    alpha: z.number().min(0).max(1).default(0.5).describe("Weight of tokens beyond the shorter side's length."),
    labelSmoothing: pairOptions.labelSmoothing(),
  },
  atReference: () => Math.LN2,
  claims: ({ beta, alpha, labelSmoothing }) => (alpha === 1 && labelSmoothing === 0 ? { optimum: gibbs(beta) } : {}),
  claimedAt: [{ alpha: 1 }],
  evaluate: (input, { alpha, ...options }) =>
    withTokenWeights(input, sharedLengthWeights(input, alpha), (weighed) => dpo.evaluate(weighed, options)),
});
