import { describe, expect, test } from 'vitest';
import { lossOfPair } from '../testing/index.js';
import { discopop } from './discopop.js';

describe('lu2024 eq 5', () => {
  test('M e^-z + (1 - M) softplus(-z)', () => {
    // z = log 3, M = 3/4
    const [loss, chosen] = lossOfPair(discopop, [Math.log(3), 0], { beta: 1, tau: 1 });
    const logistic = Math.log(4 / 3);
    expect(loss).toBeCloseTo(0.75 / 3 + 0.25 * logistic, 14);
    expect(chosen).toBeCloseTo((3 / 16) * (1 / 3 - logistic) - 0.25 * 0.25 - 0.75 / 3, 14);
  });

  test('½ + ½ log 2 at the reference, whatever τ', () => {
    for (const tau of [0.05, 1, 3])
      expect(lossOfPair(discopop, [0, 0], { tau })[0]).toBeCloseTo(0.5 + Math.LN2 / 2, 15);
  });

  test('a pair far on the wrong side: the logistic loss, where M exp(-z) alone would be 0 · Infinity', () => {
    expect(lossOfPair(discopop, [-1e4, 1e4], { beta: 1, tau: 0.05 })).toEqual([2e4, -1, 1]);
  });

  test('τ > 1: it grows exponentially, and says so where that overflows', () => {
    const options = { beta: 1, tau: 2 };
    // M = e^-20 / (1 + e^-20): M e^40 is e^20 - 1, and 40 the logistic part.
    expect(lossOfPair(discopop, [-40, 0], options)[0]).toBeCloseTo(Math.exp(20) + 39, 4);
    expect(() => lossOfPair(discopop, [-1e4, 1e4], options)).toThrowError(/expected a finite number, got Infinity/);
  });
});
