import { z } from 'zod';
import { lengthSoftmaxOfRewards, softmaxOfRewards } from '../claims.js';
import { hingeLoss, logisticLoss, squaredLoss } from '../margin-losses.js';
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
 * Contrastive preference optimisation: DPO with a uniform reference, and the likelihood of the chosen side. Xu et al.
 * 2024, arXiv:2401.08417, eq. 5.
 *   s = L = Σ_t mask_t log π(y_t), or its mean A = L/n;  R = β s, or β (1 - e^{-αs})/α
 *   z = R_chosen - R_rejected
 *   logistic   (1-ε) softplus(-z) + ε softplus(z)
 *   hinge      max(0, 1 - z)
 *   squared    (z/β - 1/(2β))²
 *   L = mean over pairs of one of these  +  nllWeight NLL(chosen)
 *   dL/dlogπ(y_t) = ± 1/(pairs (1 or n)) dloss/dz dR/ds mask_t  -  nllWeight w mask_t (chosen only)
 * `squared` with averages is what TRL's CPO calls `ipo`; its `sigmoid` and `hinge` sum. TRL bends any of its losses by
 * AlphaPO's α, hence the option here; 0, the default, is the paper's. The likelihood is a mean over all chosen tokens of
 * the step, as in TRL. Logged are the log-probabilities that are scored, and R as rewards.
 */
export const cpo = defineObjective({
  name: 'cpo',
  title: 'Contrastive preference optimisation',
  summary: 'Raises the log-probability of chosen over that of rejected, and its likelihood, without a reference.',
  paper: 'Xu et al. 2024, arXiv:2401.08417',
  rows: 'pairs',
  separable: true,
  needs: policyOnly,
  options: {
    beta: referenceFreeOptions.beta(0.1),
    loss: z.enum(['logistic', 'hinge', 'squared']).default('logistic').describe('Function of the margin.'),
    score: z.enum(['sum', 'mean']).default('sum').describe('Of the log-probabilities of a completion.'),
    alpha: z.number().default(0).describe("Bends the rewards as AlphaPO's α does; 0 leaves them straight."),
    labelSmoothing: referenceFreeOptions.labelSmoothing,
    nllWeight: referenceFreeOptions.nllWeight(1),
    nllReduction: referenceFreeOptions.nllReduction(),
  },
  claims: ({ beta, loss, score, alpha, labelSmoothing, nllWeight }) =>
    loss === 'logistic' && alpha === 0 && labelSmoothing === 0 && nllWeight === 0
      ? { optimum: score === 'sum' ? softmaxOfRewards(beta) : lengthSoftmaxOfRewards(beta) }
      : {},
  claimedAt: [{ nllWeight: 0 }, { nllWeight: 0, score: 'mean' }],
  evaluate(input, { beta, loss, score, alpha, labelSmoothing, ...likelihood }) {
    const losses = {
      logistic: (margin: number) => logisticLoss(margin, labelSmoothing),
      hinge: hingeLoss,
      squared: (margin: number) => {
        const { loss, slope } = squaredLoss(margin / beta, 1 / (2 * beta));
        return { loss, slope: slope / beta };
      },
    };
    const scores = sequenceScores(input, input.policy.logprobs, score === 'mean');
    const pairs = scoredPairs(scores, shapedRewards(scores, { alpha, beta }), { shift: 0, loss: losses[loss] });
    return evaluateScored(input, pairs, likelihood);
  },
});
