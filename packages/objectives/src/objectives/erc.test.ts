import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { erc } from './erc.js';

const input = policyRows({
  logRatios: [[0, 0, 0]],
  advantages: [1],
  entropy: [[1, 1.04, 0.5]],
  oldEntropy: [[1.04, 0.95, 0.5]],
});

test('tokens whose entropy moved keep their loss, not their gradient', () => {
  // 0.96 inside, 1.09 outside, 1 inside.
  const { loss, cotangents, metrics } = erc.evaluate(input);
  expect(loss).toBeCloseTo(-1, 14);
  expect([...cotangents.logprobs!]).toEqual([-1, 0, -1].map((x) => expect.closeTo(x / 3, 14)));
  expect(metrics['erc/kept_fraction']).toEqual({ sum: 2, count: 3 });
  expect(cotangents.entropy).toBeUndefined();
});

test('the bounds themselves are outside', () => {
  const at = policyRows({ logRatios: [[0]], entropy: [[1]], oldEntropy: [[1]] });
  expect(erc.evaluate(at, { entropyRatioHigh: 1 }).metrics['erc/kept_fraction']).toEqual({ sum: 0, count: 1 });
});

test('the dual clip is 10', () => {
  const far = policyRows({ logRatios: [[Math.log(20)]], advantages: [-1], entropy: [[1]], oldEntropy: [[1]] });
  expect(erc.evaluate(far).loss).toBeCloseTo(10, 13);
});
