import { divisor, type Grid, LARGEST_EXPONENT, rowDifferences, rowLengths, rowSums, spreadRows } from '../numerics.js';

/**
 * Of what the ratio π/π_old is.
 *   token      of each token by itself: PPO, GRPO
 *   row-mean   of the whole completion, as the geometric mean of its tokens' ratios: GSPO
 *   row-sum    of the whole completion, the product of its tokens' ratios: RLOO
 * One ratio a row stands on each of its tokens.
 */
export const importances = ['token', 'row-mean', 'row-sum'] as const;
export type Importance = (typeof importances)[number];

/** [rows, tokens]: log of the ratio, 0 where masked. */
export function logRatios(
  grid: Grid,
  logprobs: Float64Array,
  oldLogprobs: Float64Array,
  importance: Importance,
): Float64Array {
  if (importance === 'token') {
    return logprobs.map((logprob, at) => (grid.completionMask[at] ? logprob - oldLogprobs[at]! : 0));
  }
  return spreadRows(grid, rowLogRatios(grid, logprobs, oldLogprobs, importance));
}

/** [rows]: log of the ratio of each completion; 0 of an empty one. */
export function rowLogRatios(
  grid: Grid,
  logprobs: Float64Array,
  oldLogprobs: Float64Array,
  importance: 'row-mean' | 'row-sum',
): Float64Array {
  const sums = rowDifferences(grid, logprobs, oldLogprobs);
  if (importance === 'row-sum') return sums;
  const lengths = rowLengths(grid);
  return sums.map((sum, row) => sum / divisor(lengths[row]!));
}

/** From d loss / d log ratio, [rows, tokens] and 0 where masked, to d loss / d log π: the transpose of `logRatios`. */
export function pullRatios(grid: Grid, slopes: Float64Array, importance: Importance): Float64Array {
  if (importance === 'token') return slopes;
  const sums = rowSums(grid, slopes);
  if (importance === 'row-sum') return spreadRows(grid, sums);
  const lengths = rowLengths(grid);
  return spreadRows(
    grid,
    sums.map((sum, row) => sum / divisor(lengths[row]!)),
  );
}

export interface Ratio {
  readonly ratio: number;
  /** d ratio / d log ratio: the ratio, or 0 where clamped. */
  readonly slope: number;
  readonly clamped: boolean;
}

/** exp of a log-ratio held to ±clamp (20 in verl and OpenRLHF). */
export function ratioOf(logRatio: number, clamp = LARGEST_EXPONENT): Ratio {
  const clamped = Math.abs(logRatio) > clamp;
  const ratio = Math.exp(clamped ? Math.sign(logRatio) * clamp : logRatio);
  return { ratio, slope: clamped ? 0 : ratio, clamped };
}
