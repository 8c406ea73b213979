import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { luspo } from './luspo.js';

test("GSPO's loss times the length of the row", () => {
  const input = policyRows({ logRatios: [[Math.log(4), 0], [0]], advantages: [-3, 5] });
  const { loss, cotangents } = luspo.evaluate(input);
  expect(loss).toBeCloseTo((2 * 6 - 5) / 2, 13);
  expect([...cotangents.logprobs!]).toEqual([3, 3, -2.5, 0].map((x) => expect.closeTo(x, 13)));
});
