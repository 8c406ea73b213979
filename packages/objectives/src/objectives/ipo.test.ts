import { describe, expect, test } from 'vitest';
import { meanMetrics } from '../metrics.js';
import { lossOfPair, pairsOf, tableOf } from '../testing/index.js';
import { ipo } from './ipo.js';

describe('azar2023 eq 17', () => {
  test('(h - 1/(2 beta))²', () => {
    expect(lossOfPair(ipo, [1, -1], { beta: 0.5 })).toEqual([1, 2, -2]);
  });

  test('least where the margin is 1/(2 beta)', () => {
    expect(lossOfPair(ipo, [1.5, -1], { beta: 0.2 }).map(Math.abs)).toEqual([0, 0, 0]);
  });
});

describe('a convention: mean over tokens or their sum', () => {
  // Σ: 4 and -2; over 2 tokens and 1: 2 and -2
  const input = pairsOf([[3, 1], [-2]]);

  test('mean, the default, as TRL and the authors: each side by its own length', () => {
    const { loss, cotangents } = ipo.evaluate(input, { beta: 0.5 });
    expect(loss).toBe(9);
    expect(tableOf(cotangents.logprobs!, input)).toEqual([
      [3, 3],
      [-6, 0],
    ]);
  });

  test("sum, as the DPO authors' code", () => {
    const { loss, cotangents } = ipo.evaluate(input, { beta: 0.5, average: 'sum' });
    expect(loss).toBe(25);
    expect(tableOf(cotangents.logprobs!, input)).toEqual([
      [10, 10],
      [-10, 0],
    ]);
  });

  test('logged rewards are beta times the sum either way', () => {
    for (const average of ['mean', 'sum'] as const) {
      expect(meanMetrics(ipo.evaluate(input, { beta: 0.5, average }).metrics)['rewards/margins']).toBe(3);
    }
  });
});
