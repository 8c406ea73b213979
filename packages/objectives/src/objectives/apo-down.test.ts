import { describe, expect, test } from 'vitest';
import { lossOfPair } from '../testing/index.js';
import { apoDown } from './apo-down.js';

describe("d'oosterlinck2024 eq 8", () => {
  test('σ(ρ_chosen) + 1 - σ(ρ_chosen - ρ_rejected)', () => {
    // σ(ρ_chosen) = 1/4, σ(z) = 3/4
    const [loss, chosen, rejected] = lossOfPair(apoDown, [-Math.log(3), -2 * Math.log(3)], { beta: 1 });
    expect(loss).toBeCloseTo(0.5, 15);
    expect(chosen).toBeCloseTo(0, 15);
    expect(rejected).toBeCloseTo(3 / 16, 15);
  });

  test('at the reference 1, and only rejected is pulled', () => {
    expect(lossOfPair(apoDown, [0, 0], { beta: 1 })).toEqual([1, 0, 0.25]);
  });

  test('0 where chosen is far down and rejected further', () => {
    expect(lossOfPair(apoDown, [-1e3, -1e4], { beta: 1 })[0]).toBe(0);
  });
});
