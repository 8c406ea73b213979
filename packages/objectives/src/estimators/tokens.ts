import type { Grid } from '../numerics.js';
import { divisor, rowLengths, total } from '../numerics.js';
import { type KlEstimator, klEstimate } from './kl.js';

/** A KL estimator on every completion token. */
export interface TokenKl {
  /** [rows, tokens], 0 where masked. */
  readonly values: Float64Array;
  /** [rows, tokens]: d value / d log π, as it is trained on; 0 where masked. */
  readonly slopes: Float64Array;
  /** Mean of the values over completion tokens, and [rows, tokens] d mean / d log π. */
  readonly mean: number;
  readonly meanSlopes: Float64Array;
  /** Tokens whose value or exponent was clamped. */
  readonly clamped: number;
}

/** `klEstimate` at log π - log π_ref of each completion token, both [rows, tokens]. */
export function tokenKl(
  grid: Grid,
  logprobs: Float64Array,
  referenceLogprobs: Float64Array,
  estimator: KlEstimator,
  clamp?: number,
): TokenKl {
  const values = new Float64Array(grid.completionMask.length);
  const slopes = new Float64Array(grid.completionMask.length);
  let clamped = 0;
  for (let at = 0; at < values.length; at++) {
    if (!grid.completionMask[at]) continue;
    const estimate = klEstimate(estimator, logprobs[at]! - referenceLogprobs[at]!, clamp);
    values[at] = estimate.value;
    slopes[at] = estimate.slope;
    if (estimate.clamped) clamped++;
  }
  const count = divisor(total(rowLengths(grid)));
  return { values, slopes, mean: total(values) / count, meanSlopes: slopes.map((slope) => slope / count), clamped };
}
