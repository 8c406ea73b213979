import { z } from 'zod';
import { lengthSoftmaxOfRewards } from '../claims.js';
import { hingeLoss, logisticLoss } from '../margin-losses.js';
import { defineObjective } from '../objective.js';
import {
  evaluateScored,
  policyOnly,
  referenceFreeOptions,
  scoredPairs,
  sequenceScores,
  shapedRewards,
} from '../reference-free.js';

/**
 * Simple preference optimisation: average log-probabilities as rewards, a margin to hold, no reference. Meng et al. 2024,
 * arXiv:2405.14734, eq. 6; hinge and label smoothing as in the authors' code.
 *   A = L/n,  L = Σ_t mask_t log π(y_t),  n = max(Σ_t mask_t, 1)
 *   z = β (A_chosen - A_rejected) - β gammaBetaRatio
 *   L = mean over pairs of (1-ε) softplus(-z) + ε softplus(z), or max(0, 1 - z)  +  nllWeight NLL(chosen)
 *   dL/dlogπ(y_t) = ∓ β/(pairs n) ((1-ε) σ(-z) - ε σ(z)) mask_t                          - chosen, + rejected
 * The target margin is given as γ/β, as the authors' code does; TRL's `simpo_gamma` is γ = β gammaBetaRatio. Defaults of
 * the authors' code; their published runs take β from 2 to 10 and γ/β from 0.1 to 0.8. The logged log-probabilities are
 * averages, the logged rewards β A.
 */
export const simpo = defineObjective({
  name: 'simpo',
  title: 'Simple preference optimisation',
  summary: 'Raises the average log-probability of chosen over that of rejected by a margin, without a reference.',
  paper: 'Meng et al. 2024, arXiv:2405.14734',
  rows: 'pairs',
  separable: true,
  needs: policyOnly,
  options: {
    beta: referenceFreeOptions.beta(2),
    gammaBetaRatio: z.number().min(0).default(0.25).describe('Margin of average log-probabilities to hold: γ/β.'),
    loss: z.enum(['logistic', 'hinge']).default('logistic').describe('Function of the margin.'),
    labelSmoothing: referenceFreeOptions.labelSmoothing,
    nllWeight: referenceFreeOptions.nllWeight(0),
    nllReduction: referenceFreeOptions.nllReduction(),
  },
  claims: ({ beta, gammaBetaRatio, loss, labelSmoothing, nllWeight }) =>
    gammaBetaRatio === 0 && loss === 'logistic' && labelSmoothing === 0 && nllWeight === 0
      ? { optimum: lengthSoftmaxOfRewards(beta) }
      : {},
  claimedAt: [{ gammaBetaRatio: 0 }],
  evaluate(input, { beta, gammaBetaRatio, loss, labelSmoothing, ...likelihood }) {
    const scores = sequenceScores(input, input.policy.logprobs, true);
    const pairs = scoredPairs(scores, shapedRewards(scores, { alpha: 0, beta }), {
      shift: beta * gammaBetaRatio,
      loss: loss === 'hinge' ? hingeLoss : (margin) => logisticLoss(margin, labelSmoothing),
    });
    return evaluateScored(input, pairs, likelihood);
  },
});
