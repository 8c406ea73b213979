/**
 * Probability that a step is supervised rather than GRPO: step-wise adaptive integration of both. Chen et al. 2025,
 * arXiv:2505.13026 (SASR).
 *   p = g/(g + gamma g_warm)
 * g is the norm of the latest supervised gradient, g_warm that of the warm-up. While likelihood still pulls hard the
 * step is supervised; as its gradient fades, reward takes over. The paper's abstract names the gradient norm and the
 * divergence from the initial policy; this expression was written down from memory and not checked against the paper.
 * Both norms 0: p is 0.
 */
export function sftProbability({
  gradientNorm,
  warmupGradientNorm,
  gamma = 1,
}: {
  readonly gradientNorm: number;
  readonly warmupGradientNorm: number;
  /** Above 0: weight of the warm-up's norm. */
  readonly gamma?: number;
}): number {
  for (const [name, value] of Object.entries({ gradientNorm, warmupGradientNorm, gamma })) {
    if (!(value >= 0)) throw new RangeError(`${name}: expected a number from 0, got ${value}`);
  }
  return gradientNorm === 0 ? 0 : gradientNorm / (gradientNorm + gamma * warmupGradientNorm);
}
