import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { dapo } from './dapo.js';

/** A ratio of 1.25: beyond 1 + 0.2, within 1 + 0.28. */
const input = policyRows({ logRatios: [[Math.log(1.25), 0], [Math.log(0.75)]], advantages: [1, -2] });

test('yu2025 eq 8: more room upward than downward, mean over all tokens', () => {
  const { loss, cotangents } = dapo.evaluate(input);
  expect(loss).toBeCloseTo((-1.25 - 1 + 1.6) / 3, 14);
  expect([...cotangents.logprobs!]).toEqual([-1.25 / 3, -1 / 3, 0, 0].map((x) => expect.closeTo(x, 14)));
});

test('as TRL has it by default, ε 0.2 on both sides', () => {
  expect(dapo.evaluate(input, { clipRangeHigh: 0.2 }).loss).toBeCloseTo((-1.2 - 1 + 1.6) / 3, 14);
});

test('no reference is read', () => {
  expect(dapo.needsOf().reference).toEqual([]);
});
