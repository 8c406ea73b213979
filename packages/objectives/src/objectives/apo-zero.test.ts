import { describe, expect, test } from 'vitest';
import { lossOfPair } from '../testing/index.js';
import { apoZero } from './apo-zero.js';

describe("d'oosterlinck2024 eq 7", () => {
  test('1 - σ(ρ_chosen) + σ(ρ_rejected)', () => {
    const [loss, chosen, rejected] = lossOfPair(apoZero, [Math.log(3), -Math.log(3)], { beta: 1 });
    expect(loss).toBeCloseTo(0.5, 15);
    expect(chosen).toBeCloseTo(-3 / 16, 15);
    expect(rejected).toBeCloseTo(3 / 16, 15);
  });

  test('between 0 and 2, 1 at the reference', () => {
    expect(lossOfPair(apoZero, [1e4, -1e4], { beta: 1 })[0]).toBe(0);
    expect(lossOfPair(apoZero, [-1e4, 1e4], { beta: 1 })[0]).toBe(2);
    expect(lossOfPair(apoZero, [0, 0])[0]).toBe(1);
  });

  test('a side does not see the other', () => {
    expect(lossOfPair(apoZero, [0.5, 3])[1]).toBe(lossOfPair(apoZero, [0.5, -3])[1]);
  });
});
