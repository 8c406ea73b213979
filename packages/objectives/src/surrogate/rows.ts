import { divisor, type Grid, rowLengths, rowSums } from '../numerics.js';
import type { PolicyInput } from './input.js';

/** [rows]: mean over a row's completion tokens; 0 of an empty one. */
export function rowMeans(grid: Grid, values: Float64Array): Float64Array {
  const lengths = rowLengths(grid);
  return rowSums(grid, values).map((sum, row) => sum / divisor(lengths[row]!));
}

/** [rows]: the advantage of each row, the mean of its tokens'. */
export function rowAdvantages(input: PolicyInput): Float64Array {
  return rowMeans(input, input.perToken.advantages);
}

/** [rows]: Σ_t of a - b, each held to ±clamp. */
export function rowSumsOfClamped(grid: Grid, a: Float64Array, b: Float64Array, clamp: number): Float64Array {
  return rowSums(
    grid,
    a.map((value, at) => Math.min(Math.max(value - b[at]!, -clamp), clamp)),
  );
}

/** The q-quantile of some numbers, straight lines between order statistics; -Infinity of none. */
export function quantile(values: Float64Array, q: number): number {
  if (values.length === 0) return Number.NEGATIVE_INFINITY;
  const sorted = values.toSorted();
  const place = q * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (place - below) * (sorted[above]! - sorted[below]!);
}
