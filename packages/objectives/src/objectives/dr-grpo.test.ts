import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { drGrpo } from './dr-grpo.js';

test('liu2025: neither lengths nor counts of tokens divide', () => {
  const one = policyRows({ logRatios: [[0, 0, 0], [0]], advantages: [1, -2] });
  const { loss, cotangents } = drGrpo.evaluate(one, { tokenBudget: 10 });
  expect(loss).toBeCloseTo((-3 + 2) / 20, 14);
  expect([...cotangents.logprobs!].slice(0, 4)).toEqual([-1, -1, -1, 2].map((x) => expect.closeTo(x / 20, 14)));
});

test('an empty row counts, or does not', () => {
  const empty = policyRows({ logRatios: [[0], []], advantages: [1, 1] });
  expect(drGrpo.evaluate(empty, { tokenBudget: 1 }).loss).toBe(-0.5);
  expect(drGrpo.evaluate(empty, { tokenBudget: 1, countEmptyRows: false }).loss).toBe(-1);
});
