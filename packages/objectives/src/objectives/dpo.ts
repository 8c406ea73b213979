import { z } from 'zod';
import { gibbs } from '../claims.js';
import { nll } from '../nll.js';
import { divisor, rowDifferences, sigmoid, softplus, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { pairDetails } from '../pair-objective.js';
import { interleave, marginsOf, pairMetrics } from '../pairs.js';

/**
 * Direct preference optimisation. Rafailov et al. 2023, arXiv:2305.18290, eq. 7; label smoothing as cDPO, eq. 3 of
 * Mitchell 2023 (`label_smoothing` of the DPO authors' code); NLL of the chosen side as Pang et al. 2024,
 * arXiv:2404.19733.
 *   m = beta (Δchosen - Δrejected),  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))       summed, not averaged
 *   L = mean over pairs of (1-ε) softplus(-m) + ε softplus(m)  +  nllWeight NLL(chosen)
 *   dL/dlogπ(y_t) = ∓ beta/pairs ((1-ε) σ(-m) - ε σ(m)) mask_t                          - chosen, + rejected
 *                   - nllWeight w mask_t                                                chosen only
 * with w of the reduction: 1/chosen tokens of the step (TRL, CPO), 1/(pairs n_row), or 1/pairs. Pang et al. divide by
 * each row's length: `nllReduction: 'rows'`. `details`: `losses` and `margins` [pairs], without the NLL; `implicitRewards`
 * and `sequenceLogprobs` [rows].
 */
export const dpo = defineObjective({
  name: 'dpo',
  title: 'Direct preference optimisation',
  summary: 'Raises the logratio of chosen over that of rejected, with a logistic loss on their margin.',
  paper: 'Rafailov et al. 2023, arXiv:2305.18290',
  rows: 'pairs',
  separable: true,
  needs: { policy: ['logprobs'], reference: ['logprobs'] },
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the pull to the reference.'),
    labelSmoothing: z.number().min(0).lt(0.5).default(0).describe('Share of pairs taken to be the wrong way round.'),
    nllWeight: z.number().min(0).default(0).describe('Weight of the negative log-likelihood of the chosen completion.'),
    nllReduction: z
      .enum(['tokens', 'rows', 'sums'])
      .default('tokens')
      .describe('Mean over all chosen tokens of the step, mean of row means, or mean of row sums.'),
  },
  // The NLL at the reference depends on the data.
  atReference: ({ nllWeight }) => (nllWeight === 0 ? Math.LN2 : undefined),
  claims: ({ beta, labelSmoothing, nllWeight }) =>
    labelSmoothing === 0 && nllWeight === 0 ? { optimum: gibbs(beta) } : {},
  evaluate(input, { beta, labelSmoothing, nllWeight, nllReduction }) {
    const { policy, reference, totals } = input;
    const implicitRewards = rowDifferences(input, policy.logprobs, reference.logprobs).map((delta) => beta * delta);
    const margins = marginsOf(implicitRewards);
    const pairs = divisor(totals.groups);
    const losses = margins.map((m) => (1 - labelSmoothing) * softplus(-m) + labelSmoothing * softplus(m));
    const loss = total(losses) / pairs;
    const slopes = interleave(margins.length, (pair) => {
      const m = margins[pair]!;
      const slope = (beta / pairs) * ((1 - labelSmoothing) * sigmoid(-m) - labelSmoothing * sigmoid(m));
      return { chosen: -slope, rejected: slope };
    });
    const metrics = pairMetrics(input, implicitRewards);
    const details = { losses, ...pairDetails(input, implicitRewards) };
    if (nllWeight === 0) return { loss, metrics, cotangents: { logprobs: spreadRows(input, slopes) }, details };

    const counts = { tokens: totals.chosenTokens, rows: totals.groups };
    const chosen = nll(input, policy.logprobs, nllReduction, counts, (row) => row % 2 === 0);
    return {
      loss: loss + nllWeight * chosen.loss,
      metrics: { ...metrics, nll_loss: chosen.mean },
      details,
      cotangents: {
        logprobs: spreadRows(
          input,
          slopes.map((slope, row) => slope + nllWeight * chosen.slopes[row]!),
        ),
      },
    };
  },
});
