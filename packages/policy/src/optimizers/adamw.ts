import type { FloatArray } from '../parameters.js';

export interface AdamWTensor {
  readonly parameter: FloatArray;
  readonly gradient: FloatArray;
  /** First and second moments. */
  readonly m: FloatArray;
  readonly v: FloatArray;
}

export interface AdamWStep {
  readonly learningRate: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  /** Steps done before this one. */
  readonly stepsDone: number;
  /** Multiplies every gradient: what clipping leaves of it. */
  readonly gradientScale: number;
}

/** What a step multiplies the numbers of a tensor with, in the words of `adamw`. */
export function coefficients(
  { betas: [beta1, beta2], stepsDone, learningRate, weightDecay }: AdamWStep,
  decays: boolean,
): { readonly keep: number; readonly rate: number; readonly correction: number } {
  const t = stepsDone + 1;
  return {
    keep: decays ? 1 - learningRate * weightDecay : 1,
    rate: learningRate / (1 - beta1 ** t),
    correction: 1 / Math.sqrt(1 - beta2 ** t),
  };
}

/**
 * AdamW in place. Loshchilov & Hutter 2019, arXiv:1711.05101, as PyTorch orders it:
 *   p <- p (1 - lr wd);  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g²
 *   p <- p - lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 * Arithmetic is float64; parameters and moments are rounded to their arrays' precision once a step. The gradient is
 * zero afterwards.
 */
export function adamw({ parameter, gradient, m, v }: AdamWTensor, decays: boolean, step: AdamWStep): void {
  const [beta1, beta2] = step.betas;
  const { keep, rate, correction } = coefficients(step, decays);
  const { eps, gradientScale } = step;
  for (let i = 0; i < parameter.length; i++) {
    const g = gradient[i]! * gradientScale;
    const mi = beta1 * m[i]! + (1 - beta1) * g;
    const vi = beta2 * v[i]! + (1 - beta2) * g * g;
    m[i] = mi;
    v[i] = vi;
    parameter[i] = parameter[i]! * keep - (rate * mi) / (Math.sqrt(vi) * correction + eps);
  }
  gradient.fill(0);
}

/** Sum of squares. */
export function sumOfSquares(x: FloatArray): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * x[i]!;
  return sum;
}
