import { describe, expect, test } from 'vitest';
import { lossOfPair } from '../testing/index.js';
import { dpo } from './dpo.js';
import { robustDpo } from './robust-dpo.js';

describe('chowdhury2024 eq 12', () => {
  test('((1-ε) softplus(-z) - ε softplus(z)) / (1-2ε)', () => {
    // σ(z) = 3/4, ε = 1/4
    const [loss, chosen, rejected] = lossOfPair(robustDpo, [Math.log(3), 0], { beta: 1, labelSmoothing: 0.25 });
    expect(loss).toBeCloseTo(2 * (-0.75 * Math.log(0.75) + 0.25 * Math.log(0.25)), 14);
    expect(chosen).toBeCloseTo(-2 * (0.75 * 0.25 + 0.25 * 0.75), 14);
    expect(rejected).toBe(-chosen);
  });

  test('its mean over flipped labels is the loss of the clean one', () => {
    const options = { beta: 0.5, labelSmoothing: 0.2 };
    const right = lossOfPair(robustDpo, [1.3, -0.4], options);
    const flipped = lossOfPair(robustDpo, [-0.4, 1.3], options);
    const clean = lossOfPair(dpo, [1.3, -0.4], { beta: 0.5 });
    expect(0.8 * right[0] + 0.2 * flipped[0]).toBeCloseTo(clean[0], 14);
    expect(0.8 * right[1] + 0.2 * flipped[2]).toBeCloseTo(clean[1], 14);
  });

  test('no label flipped: dpo', () => {
    expect(lossOfPair(robustDpo, [0.7, -1], { labelSmoothing: 0 })).toEqual(lossOfPair(dpo, [0.7, -1]));
  });

  test('the pull does not end: beta ε/(1-2ε) however large the margin', () => {
    expect(lossOfPair(robustDpo, [1e4, -1e4], { beta: 1, labelSmoothing: 0.1 })[1]).toBeCloseTo(-0.1 / 0.8, 14);
  });
});

test('half of the labels flipped is refused', () => {
  expect(() => robustDpo.resolveOptions({ labelSmoothing: 0.5 })).toThrowErrorMatchingInlineSnapshot(
    `[ObjectiveError: objective \`robust-dpo\`, option \`labelSmoothing\`: expected number [0, 0.5), got 0.5. The default is 0.1.]`,
  );
});
