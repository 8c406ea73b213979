import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { reinforce } from './reinforce.js';
import { rloo } from './rloo.js';

test('the ratio is the product over tokens', () => {
  const input = policyRows({ logRatios: [[Math.log(2), Math.log(3)], []], advantages: [-1, 4] });
  const { loss, cotangents, metrics } = rloo.evaluate(input);
  expect(loss).toBeCloseTo(3, 13);
  expect([...cotangents.logprobs!]).toEqual([3, 3, 0, 0].map((x) => expect.closeTo(x, 13)));
  expect(metrics['clip_ratio/region_mean']).toEqual({ sum: 0, count: 2 });
});

test('on policy it is REINFORCE on whole completions', () => {
  const input = policyRows({ logRatios: [[0, 0], [0]], advantages: [1, -2] });
  const { cotangents } = rloo.evaluate(input);
  const { cotangents: plain } = reinforce.evaluate(input);
  expect([...cotangents.logprobs!]).toEqual([...plain.logprobs!]);
});
