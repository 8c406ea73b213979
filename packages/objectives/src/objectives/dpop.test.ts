import { describe, expect, test } from 'vitest';
import { lossOfPair } from '../testing/index.js';
import { dpo } from './dpo.js';
import { dpop } from './dpop.js';

describe('pal2024 eq 3', () => {
  test('a fall of chosen counts λ times more', () => {
    // z = -log 3 + 5 log 3 - 3 log 3 = log 3
    const [loss, chosen, rejected] = lossOfPair(dpop, [-Math.log(3), -5 * Math.log(3)], { beta: 1, lambda: 3 });
    expect(loss).toBeCloseTo(-Math.log(0.75), 14);
    expect(chosen).toBeCloseTo(-0.25 * 4, 14);
    expect(rejected).toBeCloseTo(0.25, 14);
  });

  test('above the reference: dpo', () => {
    const same = lossOfPair(dpo, [1, 0.5], { beta: 0.3 });
    expect(lossOfPair(dpop, [1, 0.5])).toEqual(same.map((value) => expect.closeTo(value, 15)));
  });

  test('λ = 0: dpo, below it too', () => {
    const same = lossOfPair(dpo, [-1, -4], { beta: 0.3 });
    expect(lossOfPair(dpop, [-1, -4], { lambda: 0 })).toEqual(same.map((value) => expect.closeTo(value, 15)));
  });
});
