import { describe, expect, test } from 'vitest';
import { lossOfPair, pairsOf, tableOf } from '../testing/index.js';
import { sppo } from './sppo.js';

describe('wu2024 eq 4.7, win probabilities 1 and 0', () => {
  test('squared distances from ±1/(2 beta)', () => {
    expect(lossOfPair(sppo, [2, 1], { beta: 0.5 })).toEqual([1 + 4, 2, 4]);
  });

  test('least at the targets, 0', () => {
    expect(lossOfPair(sppo, [500, -500]).map(Math.abs)).toEqual([0, 0, 0]);
  });

  test('1/(2 beta²) at the reference', () => {
    expect(sppo.atReference!({ beta: 0.1 })).toBeCloseTo(50, 12);
  });

  test('sums over tokens, does not average', () => {
    const input = pairsOf([[1, 1], [-1]]);
    const { loss, cotangents } = sppo.evaluate(input, { beta: 0.5 });
    expect(loss).toBe(1);
    expect(tableOf(cotangents.logprobs!, input)[0]).toEqual([2, 2]);
  });
});
