import { winRateRegression } from '../claims.js';
import { squaredLoss } from '../margin-losses.js';
import { definePairObjective, pairOptions } from '../pair-objective.js';

/**
 * Self-play preference optimisation with hard labels. Wu et al. 2024, arXiv:2405.00675, eq. 4.7 with win probabilities
 * 1 and 0.
 *   L = mean over pairs of (Δchosen - 1/(2 beta))² + (Δrejected + 1/(2 beta))²
 *   dL/dlogπ(y_t) = 2/pairs (Δ ∓ 1/(2 beta)) mask_t                                     - chosen, + rejected
 * Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t)), summed. beta is 1/η of the paper: the targets are ±1/(2 beta), at the default
 * 0.001 ±500. 1/(2 beta²) at the reference. Each side has a target of its own, so a common shift is not free as in `ipo`.
 */
export const sppo = definePairObjective({
  name: 'sppo',
  title: 'Self-play preference optimisation',
  summary: 'Regresses the logratio of chosen onto 1 / (2 beta) and that of rejected onto -1 / (2 beta).',
  paper: 'Wu et al. 2024, arXiv:2405.00675',
  options: { beta: pairOptions.beta(0.001) },
  claims: ({ beta }) => ({ optimum: winRateRegression(beta) }),
  claimedAt: [{ beta: 0.5 }],
  loss: ({ chosen, rejected }, { beta }) => {
    const good = squaredLoss(chosen, 1 / (2 * beta));
    const bad = squaredLoss(rejected, -1 / (2 * beta));
    return { loss: good.loss + bad.loss, chosen: good.slope, rejected: bad.slope };
  },
});
