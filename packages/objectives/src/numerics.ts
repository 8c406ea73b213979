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

/** A log-probability of 0, as rounding makes it, is taken for the largest number below 0. */
const nearlyCertain = -(2 ** -53);

/**
 * Log of the odds of what has the log-probability A <= 0, and its slope. Near A = 0 all digits are kept; at 0 itself A
 * counts as -2^-53.
 *   log p/(1-p) = A - log(1 - e^A),  p = e^A;   slope 1/(1 - e^A)
 */
export function logOdds(logprob: number): { readonly value: number; readonly slope: number } {
  const a = Math.min(logprob, nearlyCertain);
  return { value: a - log1mexp(a), slope: -1 / Math.expm1(a) };
}

/** Below this |v| the series is exact to 1e-16, and the closed form of the slope has lost digits. */
const nearZero = 0.1;

/**
 * Bernoulli's function v/(e^v - 1), 1 at v = 0, and its slope (1 - v - e^-v) e^-v/(1 - e^-v)², on the whole line: at -v
 * they are value + v and -1 - slope.
 */
export function bernoulliFunction(v: number): { readonly value: number; readonly slope: number } {
  if (v < 0) {
    const { value, slope } = bernoulliFunction(-v);
    return { value: value - v, slope: -1 - slope };
  }
  if (v < nearZero) return nearZeroBernoulli(v);
  const rest = -Math.expm1(-v);
  const decay = Math.exp(-v);
  return { value: (v * decay) / rest, slope: (decay * (rest - v)) / rest ** 2 };
}

/** Σ B_k v^k/k!, with Bernoulli's numbers B_k. */
function nearZeroBernoulli(v: number): { readonly value: number; readonly slope: number } {
  const w = v * v;
  return {
    value: 1 - v / 2 + (w / 12) * (1 - (w / 60) * (1 - (w / 42) * (1 - w / 40))),
    slope: -0.5 + (v / 6) * (1 - (w / 30) * (1 - (w / 28) * (1 - w / 30))),
  };
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

/**
 * Exponents beyond this are held to it where nothing else bounds them, and give no gradient there: e^300 is further off
 * than any policy gets, and its square is still a float64.
 */
export const LARGEST_EXPONENT = 300;

/** Logits shifted to log-probabilities, [outcomes]; -Infinity is an outcome that cannot happen, and stays. */
export function logSoftmax(logits: Float64Array): Float64Array {
  const most = logits.reduce((so, logit) => Math.max(so, logit), Number.NEGATIVE_INFINITY);
  const logSum = Math.log(total(logits.map((logit) => Math.exp(logit - most))));
  // The largest first: its sum with the small logarithm would round at the size of the logits.
  return logits.map((logit) => logit - most - logSum);
}
