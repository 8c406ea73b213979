import { z } from 'zod';
import { gibbs } from '../claims.js';
import { defineObjective } from '../objective.js';
import { evaluateSequentialKl, sequentialKlNeeds } from '../sequential-kl.js';

/**
 * Token-level direct preference optimisation, second form. Zeng et al. 2024, arXiv:2404.11999, eq. 17.
 *   M = Σ_t mask_t (log π(y_t) - log π_ref(y_t)),  K = Σ_t mask_t KL(π_ref ‖ π)_t           over the whole vocabulary
 *   h = M_chosen - M_rejected - alpha (K_rejected - stop(K_chosen)),  L = mean over pairs of softplus(-beta h)
 *   G = -beta σ(-beta h)/pairs;   dL/dlogπ(y_t) = ±G mask_t                                 + chosen, - rejected
 *                                 dL/dKL_t = -alpha G mask_t                                rejected only
 * The chosen side's divergence is a constant: it is the level that the rejected side's is held to. alpha = 0 is DPO, to the
 * last bit. At the reference log 2.
 * Rewards are logged as beta (M + K), alpha left out, as the authors do. `details`: see `evaluateSequentialKl`.
 */
export const tdpo2 = defineObjective({
  name: 'tdpo2',
  title: 'Token-level DPO, second form',
  summary: "DPO that holds the divergence of the rejected side's distributions to that of the chosen side's.",
  paper: 'Zeng et al. 2024, arXiv:2404.11999',
  rows: 'pairs',
  separable: true,
  needs: sequentialKlNeeds,
  detached: ['forwardKl:chosen'],
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the pull to the reference.'),
    alpha: z.number().min(0).default(0.5).describe('Weight of the difference of the sequential divergences.'),
  },
  atReference: () => Math.LN2,
  // Without the KL's part it is DPO.
  claims: ({ beta, alpha }) => (alpha === 0 ? { optimum: gibbs(beta) } : {}),
  claimedAt: [{ alpha: 0 }],
  evaluate: (input, { beta, alpha }) => evaluateSequentialKl(input, { beta, klWeight: alpha, chosenStopped: true }),
});
