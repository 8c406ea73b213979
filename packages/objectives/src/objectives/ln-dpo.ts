import { lengthGibbs } from '../claims.js';
import { logisticLoss } from '../margin-losses.js';
import { definePairObjective, ofMargin, pairOptions } from '../pair-objective.js';

/**
 * Length-normalised DPO. Lambert et al. 2024 (Tülu 3), arXiv:2411.15124, eq. 6; TRL's `sigmoid_norm`, open-instruct's
 * `dpo_norm`; label smoothing as in cDPO.
 *   z = beta (Δchosen/n_chosen - Δrejected/n_rejected),  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t)),  n >= 1
 *   L = mean over pairs of (1-ε) softplus(-z) + ε softplus(z)
 *   dL/dlogπ(y_t) = ∓ beta/(n pairs) ((1-ε) σ(-z) - ε σ(z)) mask_t                      - chosen, + rejected
 * n counts a side's completion tokens. Logged rewards stay sums, beta Δ. Default beta 5, as Tülu 3: means are small.
 */
export const lnDpo = definePairObjective({
  name: 'ln-dpo',
  title: 'Length-normalised DPO',
  summary: 'DPO on logratios averaged over tokens, so that a long completion counts as much as a short one.',
  paper: 'Lambert et al. 2024, arXiv:2411.15124',
  options: { beta: pairOptions.beta(5), labelSmoothing: pairOptions.labelSmoothing() },
  average: () => 'mean',
  claims: ({ beta, labelSmoothing }) => (labelSmoothing === 0 ? { optimum: lengthGibbs(beta) } : {}),
  loss: (scores, { beta, labelSmoothing }) => ofMargin(beta, scores, (z) => logisticLoss(z, labelSmoothing)),
});
