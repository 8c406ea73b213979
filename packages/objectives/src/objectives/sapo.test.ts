import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { grpo } from './grpo.js';
import { sapo } from './sapo.js';

test('on policy the gradient is that of GRPO; the value is scaled by 2/τ', () => {
  const input = policyRows({ logRatios: [[0, 0], [0]], advantages: [1, -2] });
  const { loss, cotangents } = sapo.evaluate(input);
  expect(loss).toBeCloseTo((-2 + (2 * 2) / 1.05) / 2, 14);
  expect([...cotangents.logprobs!]).toEqual([...grpo.evaluate(input, { beta: 0 }).cotangents.logprobs!]);
});

test('the gate closes with the ratio, sooner for negative advantages', () => {
  const slope = (advantage: number) =>
    Math.abs(
      sapo.evaluate(policyRows({ logRatios: [[Math.log(5)]], advantages: [advantage] }), { temperatureNegative: 2 })
        .cotangents.logprobs![0]!,
    );
  const sigmoid = 1 / (1 + Math.exp(-4));
  expect(slope(1)).toBeCloseTo(4 * sigmoid * (1 - sigmoid) * 5, 12);
  expect(slope(-1)).toBeLessThan(slope(1));
});
