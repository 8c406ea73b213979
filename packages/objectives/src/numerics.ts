/** log(1 + exp x), without overflow for large x and without losing exp x for very negative x. */
export function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** 1 / (1 + exp -x). Never exponentiates a positive number. */
export function sigmoid(x: number): number {
  const small = Math.exp(-Math.abs(x));
  return x >= 0 ? 1 / (1 + small) : small / (1 + small);
}

/** log σ(x) = -softplus(-x). */
export function logSigmoid(x: number): number {
  return -softplus(-x);
}

/** log(1 - exp x) for x < 0; the branch at -log 2 keeps all digits at both ends (Mächler 2012). 0 gives -Infinity. */
export function log1mexp(x: number): number {
  return x > -Math.LN2 ? Math.log(-Math.expm1(x)) : Math.log1p(-Math.exp(x));
}

/** Where numbers stand: [rows, tokens], row-major. */
export interface Grid {
  readonly rows: number;
  readonly tokens: number;
  /** [rows, tokens]: 1 on completion tokens. */
  readonly completionMask: Uint8Array;
}

/** [rows]: Σ_t mask_t value_t. A masked entry is passed over, never multiplied by 0: NaN · 0 is NaN. */
export function rowSums({ rows, tokens, completionMask }: Grid, values: Float64Array): Float64Array {
  const sums = new Float64Array(rows);
  for (let at = 0; at < rows * tokens; at++) {
    if (completionMask[at]) sums[Math.floor(at / tokens)]! += values[at]!;
  }
  return sums;
}

/** [rows]: Σ_t mask_t (a_t - b_t). Subtracts before it adds, so equal tokens give exactly 0. */
export function rowDifferences(grid: Grid, a: Float64Array, b: Float64Array): Float64Array {
  const { rows, tokens, completionMask } = grid;
  const sums = new Float64Array(rows);
  for (let at = 0; at < rows * tokens; at++) {
    if (completionMask[at]) sums[Math.floor(at / tokens)]! += a[at]! - b[at]!;
  }
  return sums;
}

/** [rows]: completion tokens of each row. */
export function rowLengths({ rows, tokens, completionMask }: Grid): Float64Array {
  const lengths = new Float64Array(rows);
  for (let at = 0; at < rows * tokens; at++) {
    if (completionMask[at]) lengths[Math.floor(at / tokens)]! += 1;
  }
  return lengths;
}

/** [rows, tokens]: a row's number on each of its completion tokens, exactly 0 elsewhere. The transpose of `rowSums`. */
export function spreadRows({ rows, tokens, completionMask }: Grid, perRow: Float64Array): Float64Array {
  const spread = new Float64Array(rows * tokens);
  for (let at = 0; at < rows * tokens; at++) {
    if (completionMask[at]) spread[at] = perRow[Math.floor(at / tokens)]!;
  }
  return spread;
}

/** A number to divide by: an empty completion or an empty batch counts as 1, so that its mean is 0. */
export function divisor(count: number): number {
  return Math.max(count, 1);
}

/** Σ_i x_i. */
export function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
