import { gibbs } from '../claims.js';
import { robustLoss } from '../margin-losses.js';
import { definePairObjective, ofMargin, pairOptions } from '../pair-objective.js';

/**
 * Robust DPO. Chowdhury, Kini and Natarajan 2024, arXiv:2403.00409, eq. 12.
 *   z = beta (Δchosen - Δrejected),  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over pairs of ((1-ε) softplus(-z) - ε softplus(z)) / (1-2ε)
 *   dL/dlogπ(y_t) = ∓ beta/pairs ((1-ε) σ(-z) + ε σ(z)) / (1-2ε) mask_t                 - chosen, + rejected
 * ε is the rate at which labels are flipped, known beforehand: the mean over flips is the loss of the clean label, which
 * cDPO (`dpo`, `labelSmoothing`) is not. Unlike cDPO it never stops pushing: the slope tends to beta ε/(1-2ε) for
 * z → ∞, and the loss goes to -∞. ε = 0 is `dpo`. Default ε 0.1, as published.
 */
export const robustDpo = definePairObjective({
  name: 'robust-dpo',
  title: 'Robust DPO',
  summary: 'DPO whose loss has the mean of the clean one when a known share of labels is flipped.',
  paper: 'Chowdhury et al. 2024, arXiv:2403.00409',
  options: { beta: pairOptions.beta(0.1), labelSmoothing: pairOptions.labelSmoothing(0.1) },
  claims: ({ beta, labelSmoothing }) => ({ optimum: gibbs(beta, labelSmoothing) }),
  loss: (scores, { beta, labelSmoothing }) => ofMargin(beta, scores, (z) => robustLoss(z, labelSmoothing)),
});
