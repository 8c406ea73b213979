import { z } from 'zod';
import { divisor, rowLengths, rowSums, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';

/**
 * Dynamic fine-tuning: likelihood, each token weighed by its own probability. Wu et al. 2025, arXiv:2508.05629, eq. 9.
 *   L = -Σ_rows w_row Σ_t mask_t p_t log π(y_t),  p_t = π(y_t) without gradient
 *   dL/dlogπ(y_t) = -w_row p_t mask_t
 * with w of the reduction: 1/completion tokens of the step, or 1/(rows n_row). The weight makes up for the 1/π(y_t) in the
 * gradient of a likelihood read as a policy gradient: unlikely tokens pull less. The mean is over tokens, not over weights,
 * as in TRL's `loss_type: dft`. `details`: `weights`, p_t [rows, tokens].
 */
export const dft = defineObjective({
  name: 'dft',
  title: 'Dynamic fine-tuning',
  summary: 'Raises the likelihood of the completions, the more of a token the likelier it is.',
  paper: 'Wu et al. 2025, arXiv:2508.05629',
  rows: 'single',
  separable: true,
  detached: ['logprobs:weight'],
  needs: { policy: ['logprobs'], reference: [] },
  options: {
    reduction: z
      .enum(['tokens', 'rows'])
      .default('tokens')
      .describe('Mean over all completion tokens of the step, or mean of the row means.'),
  },
  evaluate(input, { reduction }) {
    const { policy, stopped, totals, completionMask, tokens } = input;
    const lengths = rowLengths(input);
    const shareOf = (row: number) =>
      reduction === 'tokens' ? 1 / divisor(totals.scoredTokens) : 1 / divisor(totals.rows) / divisor(lengths[row]!);
    const weights = Float64Array.from(completionMask, (bit, at) => (bit ? Math.exp(stopped.logprobs[at]!) : 0));
    const slopes = weights.map((weight, at) => (completionMask[at] ? -shareOf(Math.floor(at / tokens)) * weight : 0));
    const losses = slopes.map((slope, at) => (completionMask[at] ? slope * policy.logprobs[at]! : 0));
    const sum = total(rowSums(input, policy.logprobs));
    return {
      loss: total(losses),
      metrics: {
        logps: { sum, count: input.rows },
        mean_token_logprob: { sum, count: total(lengths) },
        ...entropyMetric(input),
      },
      cotangents: { logprobs: slopes },
      details: { weights },
    };
  },
});
