import { expect, test } from 'vitest';
import { addTotals, countTotals } from '../input.js';
import { meanMetrics } from '../metrics.js';
import { sft } from './sft.js';

/** Rows of three tokens, one token and none. */
const rows = {
  rows: 3,
  tokens: 3,
  completionMask: Uint8Array.of(1, 1, 1, 1, 0, 0, 0, 0, 0),
  policy: { logprobs: Float64Array.of(-1, -2, -3, -8, 0, 0, 0, 0, 0) },
};

test('tokens: mean over all completion tokens', () => {
  const { loss, cotangents } = sft.evaluate(rows);
  expect(loss).toBe(14 / 4);
  expect([...cotangents.logprobs!]).toEqual([-0.25, -0.25, -0.25, -0.25, 0, 0, 0, 0, 0]);
});

test('rows: mean of row means, an empty row counts with 0', () => {
  const { loss, cotangents } = sft.evaluate(rows, { reduction: 'rows' });
  expect(loss).toBeCloseTo((2 + 8 + 0) / 3, 14);
  expect([...cotangents.logprobs!.slice(2, 5)]).toEqual([expect.closeTo(-1 / 9, 14), expect.closeTo(-1 / 3, 14), 0]);
});

test('sums: mean of row sums', () => {
  const { loss, cotangents } = sft.evaluate(rows, { reduction: 'sums' });
  expect(loss).toBeCloseTo((6 + 8 + 0) / 3, 14);
  expect([...cotangents.logprobs!.slice(2, 5)]).toEqual([expect.closeTo(-1 / 3, 14), expect.closeTo(-1 / 3, 14), 0]);
});

test('a mean over the step from micro-batches of unequal length', () => {
  const short = { rows: 1, tokens: 1, completionMask: Uint8Array.of(1), policy: { logprobs: Float64Array.of(-6) } };
  const totals = addTotals([countTotals('single', rows), countTotals('single', short)]);
  const losses = [rows, short].map((part) => sft.evaluate({ ...part, totals }).loss);
  expect(losses[0]! + losses[1]!).toBe(20 / 5);
});

test('metrics', () => {
  expect(meanMetrics(sft.evaluate(rows).metrics)).toEqual({ logps: -14 / 3, mean_token_logprob: -14 / 4 });
});
