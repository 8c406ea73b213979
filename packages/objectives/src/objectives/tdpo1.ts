import { z } from 'zod';
import { defineObjective } from '../objective.js';
import { evaluateSequentialKl, sequentialKlNeeds } from '../sequential-kl.js';

/**
 * Token-level direct preference optimisation, first form. Zeng et al. 2024, arXiv:2404.11999, eq. 14 and 15.
 *   M = Σ_t mask_t (log π(y_t) - log π_ref(y_t)),  K = Σ_t mask_t KL(π_ref ‖ π)_t           over the whole vocabulary
 *   h = M_chosen - M_rejected - (K_rejected - K_chosen),  L = mean over pairs of softplus(-beta h)
 *   G = -beta σ(-beta h)/pairs;   dL/dlogπ(y_t) = ±G mask_t,  dL/dKL_t = ±G mask_t          + chosen, - rejected
 * The divergence is summed over tokens, the reference first. Both sides' have a gradient: the chosen side's rises with its
 * reward. At the reference log 2. The limits of beta are DPO's; where K is equal on both sides so is the loss.
 * Rewards are logged as beta (M + K), as the authors do. `details`: see `evaluateSequentialKl`.
 */
export const tdpo1 = defineObjective({
  name: 'tdpo1',
  title: 'Token-level DPO, first form',
  summary:
    "DPO whose margin also counts how much further the chosen side's distributions moved than the rejected side's.",
  paper: 'Zeng et al. 2024, arXiv:2404.11999',
  rows: 'pairs',
  separable: true,
  needs: sequentialKlNeeds,
  options: { beta: z.number().positive().default(0.1).describe('Weight of the pull to the reference.') },
  atReference: () => Math.LN2,
  evaluate: (input, { beta }) => evaluateSequentialKl(input, { beta, klWeight: 1 }),
});
