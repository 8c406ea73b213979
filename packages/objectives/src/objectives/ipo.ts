import { z } from 'zod';
import { lengthWinRateGibbs, winRateGibbs } from '../claims.js';
import { squaredLoss } from '../margin-losses.js';
import { definePairObjective } from '../pair-objective.js';

/**
 * Identity preference optimisation. Azar et al. 2023, arXiv:2310.12036, eq. 17; beta is the paper's τ.
 *   h = s_chosen - s_rejected,  s = Δ/n (`mean`) or Δ (`sum`),  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over pairs of (h - 1/(2 beta))²
 *   dL/dlogπ(y_t) = ± 2/pairs (h - 1/(2 beta)) (1/n or 1) mask_t                        + chosen, - rejected
 * Which of the two is meant is a convention: TRL averages over a side's tokens (as the authors did in their runs),
 * HALOs and CPO's `ipo` too; the DPO authors' code, TRL before 0.25 and OpenRLHF sum. The same beta then asks for
 * margins of other sizes: a sum of 1/(2 beta) is a mean of 1/(2 beta n). The default is the authors', `mean`.
 */
export const ipo = definePairObjective({
  name: 'ipo',
  title: 'Identity preference optimisation',
  summary: 'Regresses the margin of logratios onto 1 / (2 beta), so that certain preferences do not push without end.',
  paper: 'Azar et al. 2023, arXiv:2310.12036',
  options: {
    beta: z.number().positive().default(0.1).describe("The paper's τ: margins are drawn to 1 / (2 beta)."),
    average: z
      .enum(['mean', 'sum'])
      .default('mean')
      .describe("A side's logratio: mean over its tokens (TRL), or their sum (the DPO authors)."),
  },
  average: ({ average }) => average,
  claims: ({ beta, average }) => ({ optimum: average === 'sum' ? winRateGibbs(beta) : lengthWinRateGibbs(beta) }),
  loss: ({ chosen, rejected }, { beta }) => {
    const { loss, slope } = squaredLoss(chosen - rejected, 1 / (2 * beta));
    return { loss, chosen: slope, rejected: -slope };
  },
});
