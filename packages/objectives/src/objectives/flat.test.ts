import { describe, expect, test } from 'vitest';
import { flat } from './flat.js';

/** Mean probabilities: 0.5 of the template, 0.75 of what is to be forgotten. */
const input = {
  rows: 2,
  tokens: 2,
  completionMask: Uint8Array.of(1, 1, 1, 0),
  policy: { logprobs: Float64Array.of(Math.log(0.4), Math.log(0.6), Math.log(0.75), Number.NaN) },
};

describe('wang2024', () => {
  test.each([
    ['total-variation', (Math.tanh(0.75) - Math.tanh(0.5)) / 2],
    ['kl', -0.5 + Math.exp(-0.25)],
    ['pearson-chi2', -0.5 + 0.75 ** 2 / 4 + 0.75],
    ['js', Math.log1p(Math.exp(-0.5)) + Math.log1p(Math.exp(0.75)) - 2 * Math.LN2],
  ] as const)('%s by hand', (divergence, loss) => {
    expect(flat.evaluate(input, { divergence }).loss).toBeCloseTo(loss, 14);
  });

  test('a mean of probabilities, each token by its own', () => {
    const { cotangents, details } = flat.evaluate(input, { divergence: 'kl' });
    expect(details!.probabilities![0]).toBeCloseTo(0.5, 14);
    expect(cotangents.logprobs![0]).toBeCloseTo(-0.2, 14);
    expect(cotangents.logprobs![1]).toBeCloseTo(-0.3, 14);
    expect(cotangents.logprobs![2]).toBeCloseTo(0.75 * Math.exp(-0.25), 14);
    expect(cotangents.logprobs![3]).toBe(0);
  });

  test('wrong options are refused', () => {
    expect(() => flat.evaluate(input, { divergence: 'tv' as 'js' })).toThrow(/`divergence`/);
  });
});
