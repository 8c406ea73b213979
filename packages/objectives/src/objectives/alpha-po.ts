import { z } from 'zod';
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
 * AlphaPO: SimPO with a reward whose shape α bends. Gupta et al. 2025, arXiv:2501.03884.
 *   A = L/n,  R = β (1 - e^{-αA})/α            α → 0: R = β A, which is SimPO, bit for bit at α = 0
 *   z = R_chosen - R_rejected - β gammaBetaRatio
 *   L = mean over pairs of (1-ε) softplus(-z) + ε softplus(z), or max(0, 1 - z)  +  nllWeight NLL(chosen)
 *   dL/dlogπ(y_t) = ∓ β e^{-αA}/(pairs n) ((1-ε) σ(-z) - ε σ(z)) mask_t                  - chosen, + rejected
 * α > 0 pulls hardest at the less likely side, α < 0 at the likelier one. -αA is cut at 300, where the gradient of the
 * row is 0. β and gammaBetaRatio are SimPO's by default; TRL writes the margin as `simpo_gamma` = β gammaBetaRatio.
 */
export const alphaPo = defineObjective({
  name: 'alpha-po',
  title: 'AlphaPO',
  summary: 'Raises the reshaped average log-probability of chosen over that of rejected, without a reference.',
  paper: 'Gupta et al. 2025, arXiv:2501.03884',
  rows: 'pairs',
  separable: true,
  needs: policyOnly,
  options: {
    alpha: z.number().default(0.25).describe('Shape of the reward: 0 is SimPO.'),
    beta: referenceFreeOptions.beta(2),
    gammaBetaRatio: z.number().min(0).default(0.25).describe('Margin of rewards to hold, as a multiple of β.'),
    loss: z.enum(['logistic', 'hinge']).default('logistic').describe('Function of the margin.'),
    labelSmoothing: referenceFreeOptions.labelSmoothing,
    nllWeight: referenceFreeOptions.nllWeight(0),
    nllReduction: referenceFreeOptions.nllReduction(),
  },
  evaluate(input, { alpha, beta, gammaBetaRatio, loss, labelSmoothing, ...likelihood }) {
    const scores = sequenceScores(input, input.policy.logprobs, true);
    const pairs = scoredPairs(scores, shapedRewards(scores, { alpha, beta }), {
      shift: beta * gammaBetaRatio,
      loss: loss === 'hinge' ? hingeLoss : (margin) => logisticLoss(margin, labelSmoothing),
    });
    return evaluateScored(input, pairs, likelihood);
  },
});
