import { describe, expect, test } from 'vitest';
import type { ObjectiveInput } from '../input.js';
import { pairsOf } from '../testing/index.js';
import { dpo } from './dpo.js';
import { wpo } from './wpo.js';

/** Mean log π - log Σ π²: log 2 - 2 over chosen's two tokens, -1 over rejected's. */
const base = pairsOf([[0.5, -0.5], [0]]);
const input: ObjectiveInput = {
  ...base,
  policy: { ...base.policy, logSumSquares: Float64Array.of(0, -2 * Math.LN2, -1, Number.NaN) },
};
const weight = Math.exp(-2 + Math.LN2 - 1);

describe('zhou2024 eq 2', () => {
  test('a pair counts by the confidence in both sides', () => {
    const { loss, cotangents, details } = wpo.evaluate(input);
    const plain = dpo.evaluate(base, { beta: 0.01 });
    expect(details!.weights![0]).toBeCloseTo(weight, 15);
    expect(loss).toBeCloseTo(weight * plain.loss, 15);
    expect(details!.losses![0]).toBeCloseTo(loss, 15);
    cotangents.logprobs!.forEach((value, at) => {
      expect(value).toBeCloseTo(weight * plain.cotangents.logprobs![at]!, 15);
    });
  });

  test('the weight has no gradient', () => {
    expect(Object.keys(wpo.evaluate(input).cotangents)).toEqual(['logprobs']);
  });

  test('an empty side has a confidence of 1', () => {
    const empty = { ...input, completionMask: Uint8Array.of(1, 1, 0, 0) };
    expect(wpo.evaluate(empty).details!.weights![0]).toBeCloseTo(Math.exp(-2 + Math.LN2), 15);
  });
});

describe('a convention: the bound of the weight', () => {
  const sure = { ...input, policy: { ...input.policy, logSumSquares: Float64Array.of(-4, -4, -3, 0) } };

  test('none by default, as TRL', () => {
    expect(wpo.evaluate(sure).details!.weights![0]).toBeCloseTo(Math.exp(2 + 1), 12);
  });

  test('1, as TRL 0.12', () => {
    expect(wpo.evaluate(sure, { maxWeight: 1 }).details!.weights![0]).toBe(1);
  });
});
