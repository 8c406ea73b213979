import { describe, expect, test } from 'vitest';
import { lossOfPair } from '../testing/index.js';
import { bcoPair } from './bco-pair.js';

describe('jung2024 eq 8', () => {
  test('each side by its own sign, less a shift', () => {
    // rewards log 3 + δ and -log 3 + δ
    const shifted: [number, number] = [Math.log(3) + 0.5, -Math.log(3) + 0.5];
    const [loss, chosen, rejected] = lossOfPair(bcoPair, shifted, { beta: 1, delta: 0.5 });
    expect(loss).toBeCloseTo(-2 * Math.log(0.75), 14);
    expect([chosen, rejected]).toEqual([expect.closeTo(-0.25, 14), expect.closeTo(0.25, 14)]);
  });

  test('no shift by default, as TRL: 2 log 2 at the reference', () => {
    expect(lossOfPair(bcoPair, [0, 0])).toEqual([2 * Math.LN2, -0.005, 0.005]);
  });

  test('a side far on the right side is done', () => {
    const [, chosen, rejected] = lossOfPair(bcoPair, [1e4, 0], { beta: 1 });
    expect(Math.abs(chosen)).toBe(0);
    expect(rejected).toBe(0.5);
  });
});
