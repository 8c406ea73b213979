import { describe, expect, test } from 'vitest';
import { lossOfPair } from '../testing/index.js';
import { exo } from './exo.js';

describe('ji2024 eq 16', () => {
  test('KL(σ(z) ‖ 1-ε)', () => {
    // σ(z) = 3/4
    const [loss, chosen] = lossOfPair(exo, [Math.log(3), 0], { beta: 1, labelSmoothing: 0.5 });
    expect(loss).toBeCloseTo(0.75 * Math.log(1.5) + 0.25 * Math.log(0.5), 14);
    expect(chosen).toBeCloseTo((3 / 16) * Math.log(3), 14);
  });

  test('0, and no gradient, where the policy says what the labels say', () => {
    const options = { beta: 1, labelSmoothing: 0.25 };
    for (const value of lossOfPair(exo, [Math.log(3), 0], options)) expect(value).toBeCloseTo(0, 15);
  });

  test('a pair far on the wrong side hardly moves', () => {
    expect(Math.abs(lossOfPair(exo, [-100, 100], { beta: 1 })[1])).toBeLessThan(1e-80);
  });
});

test('hard labels are refused: the KL to them is infinite', () => {
  expect(() => exo.resolveOptions({ labelSmoothing: 0 })).toThrowErrorMatchingInlineSnapshot(
    `[ObjectiveError: objective \`exo\`, option \`labelSmoothing\`: expected number (0, 1), got 0. The default is 0.001.]`,
  );
});
