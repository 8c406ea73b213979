import type { Totals } from './input.js';
import type { Mean } from './metrics.js';
import { divisor, type Grid, rowLengths, rowSums, total } from './numerics.js';

/**
 * How a negative log-likelihood over several rows becomes one number. They are different losses.
 *   tokens   mean over all tokens of the step
 *   rows     mean of each row's mean over its tokens
 *   sums     mean of each row's sum
 */
export type NllReduction = 'tokens' | 'rows' | 'sums';

export interface Nll {
  readonly loss: number;
  /** [rows]: d loss / d log π(y_t), the same on each completion token of a row. */
  readonly slopes: Float64Array;
  /** Sum and count of what the reduction averages. */
  readonly mean: Mean;
}

/**
 * -Σ_rows w_row Σ_t mask_t log π(y_t) over the rows that `takes` names, with w = 1/tokens, 1/(rows n_row) or 1/rows.
 * `counts` are the tokens and rows taken over the whole step. An empty row adds 0 and still counts as a row.
 */
export function nll(
  grid: Grid,
  logprobs: Float64Array,
  reduction: NllReduction,
  counts: { readonly tokens: Totals['scoredTokens']; readonly rows: Totals['rows'] },
  takes: (row: number) => boolean = () => true,
): Nll {
  const lengths = rowLengths(grid);
  const sums = rowSums(grid, logprobs);
  const weights = lengths.map((length, row) => {
    if (!takes(row)) return 0;
    return reduction === 'rows' ? 1 / divisor(length) : 1;
  });
  const step = divisor(reduction === 'tokens' ? counts.tokens : counts.rows);
  const taken = lengths.map((length, row) => (takes(row) ? (reduction === 'tokens' ? length : 1) : 0));
  const sum = -total(sums.map((value, row) => value * weights[row]!));
  return { loss: sum / step, slopes: weights.map((weight) => -weight / step), mean: { sum, count: total(taken) } };
}
