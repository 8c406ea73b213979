import { z } from 'zod';
import { defineObjective } from '../objective.js';
import { evaluateSequentialKl, sequentialKlNeeds } from '../sequential-kl.js';

/**
 * Sparse token-level preference optimisation. Christopoulou et al. 2024, arXiv:2410.05102; from the paper's definition, no
 * code of the authors was compared.
 *   M = Σ_t mask_t u_t (log π(y_t) - log π_ref(y_t)),  K = Σ_t mask_t v_t KL(π_ref ‖ π)_t   over the whole vocabulary
 *   h = M_chosen - M_rejected - (K_rejected - K_chosen),  L = mean over pairs of softplus(-beta h)
 *   G = -beta σ(-beta h)/pairs;   dL/dlogπ(y_t) = ±G u_t mask_t,  dL/dKL_t = ±G v_t mask_t  + chosen, - rejected
 * u = `perToken.rewardWeights` and v = `perToken.klWeights`, not negative, constants of the loss: from the reference's
 * activations, or from masks that are learned elsewhere. u = v = 1 is TDPO1, v = 0 a weighted DPO. At the reference log 2.
 * `shared`: v = u, and `klWeights` is not read. Rewards are logged as beta (M + K). `details`: see `evaluateSequentialKl`.
 */
export const sparsePo = defineObjective({
  name: 'sparse-po',
  title: 'Sparse token-level preference optimisation',
  summary: 'Token-level DPO in which each token has a weight in the reward and one in the divergence.',
  paper: 'Christopoulou et al. 2024, arXiv:2410.05102',
  rows: 'pairs',
  separable: true,
  needs: { ...sequentialKlNeeds, perToken: ['rewardWeights'] },
  needsOf: ({ weights }) => ({
    ...sequentialKlNeeds,
    perToken: weights === 'shared' ? ['rewardWeights'] : ['rewardWeights', 'klWeights'],
  }),
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the pull to the reference.'),
    weights: z
      .enum(['independent', 'shared'])
      .default('independent')
      .describe('Whether a token has two weights, or one for the reward and the divergence.'),
  },
  atReference: () => Math.LN2,
  evaluate(input, { beta, weights }) {
    const { rewardWeights, klWeights } = input.perToken;
    return evaluateSequentialKl(input, {
      beta,
      klWeight: 1,
      rewardWeights,
      klWeights: weights === 'shared' ? rewardWeights : klWeights,
    });
  },
});
