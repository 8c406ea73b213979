import { expect, test } from 'vitest';
import { adamw, sumOfSquares } from './adamw.js';

/** One parameter by the textbook update, in float64. */
function textbook(
  p: number,
  gradients: readonly number[],
  { lr, b1, b2, eps, wd }: { lr: number; b1: number; b2: number; eps: number; wd: number },
): number[] {
  let m = 0;
  let v = 0;
  return gradients.map((g, i) => {
    m = b1 * m + (1 - b1) * g;
    v = b2 * v + (1 - b2) * g * g;
    const mHat = m / (1 - b1 ** (i + 1));
    const vHat = v / (1 - b2 ** (i + 1));
    p = p - lr * wd * p - (lr * mHat) / (Math.sqrt(vHat) + eps);
    return p;
  });
}

test('the update is the textbook one, in both precisions', () => {
  const gradients = [0.3, -0.2, 0.05, 1.5, -4];
  const expected = textbook(0.7, gradients, { lr: 1e-2, b1: 0.9, b2: 0.999, eps: 1e-8, wd: 0.1 });
  for (const [make, tolerance] of [
    [(x: number) => Float64Array.of(x), 1e-15],
    [(x: number) => Float32Array.of(x), 2e-7],
  ] as const) {
    const parameter = make(0.7);
    const [m, v, gradient] = [make(0), make(0), make(0)];
    gradients.forEach((g, stepsDone) => {
      gradient[0] = g;
      adamw({ parameter, gradient, m, v }, true, {
        learningRate: 1e-2,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weightDecay: 0.1,
        stepsDone,
        gradientScale: 1,
      });
      expect(Math.abs(parameter[0]! - expected[stepsDone]!)).toBeLessThanOrEqual(tolerance);
    });
  }
});

test('float32: without momentum a small gradient counts in full behind a large one', () => {
  const options = { lr: 1e-2, b1: 0, b2: 0, eps: 1e-15, wd: 0 };
  const gradients = [1, 1e-8, -1e-12, 3];
  const expected = textbook(0.7, gradients, options);
  const [parameter, m, v, gradient] = [
    Float32Array.of(0.7),
    new Float32Array(1),
    new Float32Array(1),
    new Float32Array(1),
  ];
  const step = { learningRate: options.lr, betas: [0, 0], eps: options.eps, weightDecay: 0, gradientScale: 1 } as const;
  gradients.forEach((g, stepsDone) => {
    gradient[0] = g;
    adamw({ parameter, gradient, m, v }, true, { ...step, stepsDone });
    expect(Math.abs(parameter[0]! - expected[stepsDone]!)).toBeLessThanOrEqual(2e-7);
  });
});

test('a tensor that is spared does not decay; clipping scales the gradient', () => {
  const update = (decays: boolean, gradientScale: number, g: number) => {
    const parameter = Float64Array.of(2);
    adamw({ parameter, gradient: Float64Array.of(g), m: new Float64Array(1), v: new Float64Array(1) }, decays, {
      learningRate: 0.1,
      betas: [0.9, 0.999],
      eps: 1,
      weightDecay: 0.5,
      stepsDone: 0,
      gradientScale,
    });
    return parameter[0]!;
  };
  expect(update(false, 1, 0)).toBe(2);
  expect(update(true, 1, 0)).toBeCloseTo(2 * (1 - 0.05), 15);
  expect(update(false, 0.5, 4)).toBe(update(false, 1, 2));
  expect(sumOfSquares(Float32Array.of(3, 4))).toBe(25);
});
