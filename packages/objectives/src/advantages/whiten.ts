/** How numbers are brought to mean 0 and standard deviation 1. */
export interface WhitenOptions {
  /** False: divides by the deviation and keeps the mean, as for rewards. Default true. */
  readonly shiftMean?: boolean;
  /** Variance by n - 1 (TRL, verl, trlX) or by n (OpenAI). Default true. */
  readonly unbiased?: boolean;
  /** Added to the variance. Default 1e-8. */
  readonly epsilon?: number;
  /**
   * What the mean and variance are of: `mask` the unmasked entries (TRL, verl), `all` the masked ones too, as zeros
   * (OpenAI, trlX). Default `mask`.
   */
  readonly over?: 'mask' | 'all';
}

/**
 * (x - mean)/√(variance + epsilon) where the mask is 1, exactly 0 where it is 0; with `shiftMean: false` the mean is added
 * again. Over fewer than 2 entries there is no variance: all is 0.
 */
export function whiten(
  values: Float64Array,
  mask: Uint8Array,
  { shiftMean = true, unbiased = true, epsilon = 1e-8, over = 'mask' }: WhitenOptions = {},
): Float64Array {
  const entries = over === 'mask' ? values.filter((_, at) => mask[at]) : values.map((x, at) => (mask[at] ? x : 0));
  if (entries.length < 2) return new Float64Array(values.length);
  const { mean, variance } = momentsOf(entries, unbiased);
  const scale = 1 / Math.sqrt(variance + epsilon);
  return values.map((x, at) => (mask[at] ? (x - mean) * scale + (shiftMean ? 0 : mean) : 0));
}

/** Mean and variance of at least one number, by n - 1 if `unbiased`, which takes two. */
export function momentsOf(
  values: Float64Array,
  unbiased: boolean,
): { readonly mean: number; readonly variance: number } {
  const count = values.length;
  const mean = values.reduce((sum, x) => sum + x, 0) / count;
  const squares = values.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return { mean, variance: squares / (unbiased ? count - 1 : count) };
}
