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

type Coefficients = [
  scale: number,
  beta1: number,
  rest1: number,
  beta2: number,
  rest2: number,
  decay: number,
  rate: number,
  correction: number,
  eps: number,
];

/** The numbers of a step, in the words of `adamw` and the order in which its kernel takes them. */
export function coefficients(
  { gradientScale, betas: [beta1, beta2], stepsDone, learningRate, weightDecay, eps }: AdamWStep,
  decays: boolean,
): Coefficients {
  const t = stepsDone + 1;
  const decay = decays ? learningRate * weightDecay : 0;
  const rate = learningRate / (1 - beta1 ** t);
  const correction = 1 / Math.sqrt(1 - beta2 ** t);
  return [gradientScale, beta1, 1 - beta1, beta2, 1 - beta2, decay, rate, correction, eps];
}

/**
 * AdamW in place. Loshchilov & Hutter 2019, arXiv:1711.05101:
 *   m <- m + (1 - b1) (g - m), from the nearer of both;  v <- b2 v + (1 - b2) g²
 *   p <- p - (lr wd p + lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps))
 * Every operation is rounded to the arrays' precision. Decay is a part of the change, where it counts as far as their
 * sum does; the factor 1 - lr wd would be rounded to 1 in float32 where lr wd < 3e-8. The gradient is zero afterwards.
 */
export function adamw({ parameter, gradient, m, v }: AdamWTensor, decays: boolean, step: AdamWStep): void {
  const r = parameter instanceof Float32Array ? Math.fround : asIs;
  const numbers = coefficients(step, decays).map(r) as Coefficients;
  const [scale, beta1, rest1, beta2, rest2, decay, rate, correction, eps] = numbers;
  for (let i = 0; i < parameter.length; i++) {
    const p = parameter[i]!;
    const g = r(gradient[i]! * scale);
    const mi = rest1 < 0.5 ? r(m[i]! + r(rest1 * r(g - m[i]!))) : r(g + r(beta1 * r(m[i]! - g)));
    const vi = r(r(beta2 * v[i]!) + r(rest2 * r(g * g)));
    const divisor = r(r(r(Math.sqrt(vi)) * correction) + eps);
    m[i] = mi;
    v[i] = vi;
    parameter[i] = p - r(r(decay * p) + r(r(rate * mi) / divisor));
  }
  gradient.fill(0);
}

const asIs = (x: number) => x;

/** Sum of squares. */
export function sumOfSquares(x: FloatArray): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * x[i]!;
  return sum;
}
