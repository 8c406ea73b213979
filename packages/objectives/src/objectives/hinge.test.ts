import { describe, expect, test } from 'vitest';
import { lossOfPair, pairsOf } from '../testing/index.js';
import { hinge } from './hinge.js';

describe('liu2023 eq 11', () => {
  test('max(0, 1 - z), slope beta below the margin', () => {
    expect(lossOfPair(hinge, [1, -1], { beta: 0.25 })).toEqual([0.5, -0.25, 0.25]);
    expect(lossOfPair(hinge, [-1, 1], { beta: 0.25 })).toEqual([1.5, -0.25, 0.25]);
  });

  test('nothing beyond the margin, nor at it', () => {
    for (const logratio of [1, 5]) {
      expect(lossOfPair(hinge, [logratio, -1], { beta: 0.5 }).map(Math.abs)).toEqual([0, 0, 0]);
    }
  });
});

test('details: losses and margins by pair, rewards and log-probabilities by row', () => {
  const { details } = hinge.evaluate(pairsOf([[0.5, 0.5], [-1]], [[0], [3]]), { beta: 0.5 });
  expect(details).toEqual({
    losses: Float64Array.of(0, 2.5),
    margins: Float64Array.of(1, -1.5),
    implicitRewards: Float64Array.of(0.5, -0.5, 0, 1.5),
    sequenceLogprobs: Float64Array.of(-3, -3, -2, 1),
  });
});
