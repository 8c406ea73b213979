import { describe, expect, test } from 'vitest';
import { confidenceWeighted } from './confidence-weighted.js';
import type { ObjectiveInput } from './input.js';
import { lengthDesensitized } from './length-desensitized.js';
import { aot, dpo, hinge, sft, wpo } from './objectives/index.js';
import { pairsOf, testObjective } from './testing/index.js';
import { weighted } from './weighted.js';

const confident = confidenceWeighted({ objective: hinge, options: { beta: 0.5 } });
for (const { name, run } of testObjective(confident)) test(`shared checks: ${name}`, run);

const likelihood = confidenceWeighted({ objective: sft });
for (const { name, run } of testObjective(likelihood)) test(`shared checks, one side: ${name}`, run);

const base = pairsOf([[0.5, 1], [-1]], [[1], [0, 0.5]]);
const input: ObjectiveInput = {
  ...base,
  policy: { ...base.policy, logSumSquares: Float64Array.of(-1, -0.5, -2, 0, -1, 0, -0.25, -3) },
};

test('of dpo it is wpo', () => {
  const { loss, cotangents } = confidenceWeighted({ objective: dpo, options: { beta: 0.3 } }).evaluate(input);
  const same = wpo.evaluate(input, { beta: 0.3 });
  expect({ loss, cotangents }).toEqual({ loss: same.loss, cotangents: same.cotangents });
});

test('a likelihood term is multiplied by the mean weight, as in TRL', () => {
  const [first, second] = wpo.evaluate(input).details!.weights!;
  const plain = weighted([
    { objective: dpo, weight: 0 },
    { objective: sft, weight: 1 },
  ]).evaluate(input);
  const { loss, cotangents } = likelihood.evaluate(input);
  const mean = (first! + second!) / 2;
  expect(loss).toBeCloseTo(mean * plain.loss, 14);
  cotangents.logprobs!.forEach((value, at) => {
    expect(value).toBeCloseTo(mean * plain.cotangents.logprobs![at]!, 14);
  });
});

test('the confidence is in the tokens as they are, where the loss weighs them', () => {
  const shortened = lengthDesensitized({ objective: dpo }, 0);
  expect(confidenceWeighted({ objective: shortened }).evaluate(input).details!.weights).toEqual(
    wpo.evaluate(input).details!.weights,
  );
});

describe('refused', () => {
  test('a loss between order statistics: its i-th number is no pair', () => {
    expect(() => confidenceWeighted({ objective: aot })).toThrowErrorMatchingInlineSnapshot(
      `[ObjectiveError: objective \`confidence-weighted\`: expected a mean over pairs or single rows, got \`aot\`, which sees the whole step at once.]`,
    );
  });
});
