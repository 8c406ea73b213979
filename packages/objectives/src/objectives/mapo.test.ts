import { describe, expect, test } from 'vitest';
import { bernoulliFunction } from '../numerics.js';
import { mapo } from './mapo.js';

const losses = (chosen: number, rejected: number) => ({
  rows: 2,
  tokens: 1,
  completionMask: Uint8Array.of(1, 1),
  policy: { logprobs: Float64Array.of(-chosen, -rejected) },
});

test('hong2024: the loss of chosen, and -log σ of the scaled difference of scores', () => {
  expect(mapo.evaluate(losses(2, 2)).loss).toBeCloseTo(2 + 0.1 * Math.LN2, 14);
  // snr 1: scores log 2/(2 - 1) and log 3/(3 - 1)
  const gap = Math.log(2) - Math.log(3) / 2;
  const { loss, details } = mapo.evaluate(losses(Math.log(2), Math.log(3)), { beta: 1, snr: 1, timesteps: 4 });
  expect(loss).toBeCloseTo(Math.log(2) + Math.log1p(Math.exp(-4 * gap)), 14);
  expect([...details!.scores!]).toEqual([expect.closeTo(Math.log(2), 14), expect.closeTo(Math.log(3) / 2, 14)]);
});

test('the loss of a completion is the mean over its tokens', () => {
  const input = {
    rows: 2,
    tokens: 2,
    completionMask: Uint8Array.of(1, 1, 1, 0),
    policy: { logprobs: Float64Array.of(-1, -3, -2, 0) },
  };
  expect(mapo.evaluate(input).loss).toBeCloseTo(mapo.evaluate(losses(2, 2)).loss, 14);
});

describe("Bernoulli's function", () => {
  test('is 1 with slope -1/2 at 0, and passes its series without a step', () => {
    expect(bernoulliFunction(0)).toEqual({ value: 1, slope: -0.5 });
    const [below, above] = [0.1 - 1e-12, 0.1 + 1e-12].map(bernoulliFunction);
    expect(above!.value).toBeCloseTo(below!.value, 11);
    expect(above!.slope).toBeCloseTo(below!.slope, 11);
  });

  test.each([-700, -3, -0.2, -0.05, 0.03, 0.2, 1, 30])('at %d its slope is that of its values', (v) => {
    const step = 1e-6 * Math.max(1, Math.abs(v));
    const [low, high] = [v - step, v + step].map((at) => bernoulliFunction(at).value) as [number, number];
    expect(bernoulliFunction(v).slope).toBeCloseTo((high - low) / (2 * step), 8);
  });

  test('falls to 0, and to -v on the other side', () => {
    expect(bernoulliFunction(800)).toEqual({ value: 0, slope: -0 });
    expect(bernoulliFunction(-800)).toEqual({ value: 800, slope: -1 });
  });
});
