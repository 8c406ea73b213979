import { z } from 'zod';
import { dataDistribution } from '../claims.js';
import { nll } from '../nll.js';
import { rowLengths, rowSums, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';

/**
 * Supervised fine-tuning: negative log-likelihood of the completions. No paper of its own; InstructGPT's first stage,
 * Ouyang et al. 2022, arXiv:2203.02155, section 3.5.
 *   tokens   L = -1/tokens Σ_rows Σ_t mask_t log π(y_t)                 mean over all completion tokens of the step
 *   rows     L = -1/rows Σ_rows 1/n_row Σ_t mask_t log π(y_t)           mean of row means, n_row = max(tokens of row, 1)
 *   sums     L = -1/rows Σ_rows Σ_t mask_t log π(y_t)                   mean of row sums
 *   dL/dlogπ(y_t) = -mask_t/tokens;  -mask_t/(rows n_row);  -mask_t/rows
 */
export const sft = defineObjective({
  name: 'sft',
  title: 'Supervised fine-tuning',
  summary: 'Raises the likelihood of the completions.',
  paper: 'Ouyang et al. 2022, arXiv:2203.02155',
  rows: 'single',
  separable: true,
  linear: true,
  needs: { policy: ['logprobs'], reference: [] },
  options: {
    reduction: z
      .enum(['tokens', 'rows', 'sums'])
      .default('tokens')
      .describe('Mean over all completion tokens of the step, mean of row means, or mean of row sums.'),
  },
  // Row means weigh a completion by its length: no distribution of theirs in general.
  claims: ({ reduction }) => (reduction === 'rows' ? {} : { optimum: dataDistribution }),
  evaluate(input, { reduction }) {
    const { policy, totals } = input;
    const { loss, slopes } = nll(input, policy.logprobs, reduction, { tokens: totals.scoredTokens, rows: totals.rows });
    const sum = total(rowSums(input, policy.logprobs));
    return {
      loss,
      metrics: {
        logps: { sum, count: input.rows },
        mean_token_logprob: { sum, count: total(rowLengths(input)) },
        ...entropyMetric(input),
      },
      cotangents: { logprobs: spreadRows(input, slopes) },
    };
  },
});
