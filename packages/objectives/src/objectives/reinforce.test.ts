import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { reinforce } from './reinforce.js';

const input = policyRows({ logRatios: [[0, 0], [0]], advantages: [1, -2] });

test('-A log π, summed over rows', () => {
  const { loss, cotangents } = reinforce.evaluate(input);
  // Log-probabilities of -2: (2 + 2 - 4)/2.
  expect(loss).toBe(0);
  expect([...cotangents.logprobs!].map((x) => x + 0)).toEqual([-0.5, -0.5, 1, 0]);
});

test('linear: the gradient does not depend on the scores', () => {
  const moved = { ...input, policy: { logprobs: input.policy.logprobs!.map((x) => x - 1) } };
  expect(reinforce.linear).toBe(true);
  expect(reinforce.evaluate(moved).cotangents).toEqual(reinforce.evaluate(input).cotangents);
});

test('other means', () => {
  expect(reinforce.evaluate(input, { aggregation: 'rows' }).cotangents.logprobs![0]).toBe(-0.25);
  expect(reinforce.evaluate(input, { aggregation: 'tokens' }).cotangents.logprobs![0]).toBeCloseTo(-1 / 3, 15);
});
