import { expect, test } from 'vitest';
import { meanMetrics } from '../metrics.js';
import { policyRows } from '../testing/policy-rows.js';
import { kdrl } from './kdrl.js';

/** Ratios 2 and 1; log-ratios to the teacher 0.5 and -1; the first row failed. */
const input = policyRows({
  logRatios: [[Math.LN2], [0]],
  advantages: [-1, 1],
  referenceLogRatios: [[0.5], [-1]],
  rewards: [0, 1],
});

test('a policy gradient without clip, and k2 to the teacher', () => {
  const { loss, cotangents, metrics } = kdrl.evaluate(input, { coef: 0.1 });
  expect(loss).toBeCloseTo((2 - 1) / 2 + (0.1 * (0.125 + 0.5)) / 2, 14);
  expect([...cotangents.logprobs!]).toEqual([(2 + 0.05) / 2, (-1 - 0.1) / 2].map((x) => expect.closeTo(x, 14)));
  expect(meanMetrics(metrics)).toMatchObject({ 'loss/kl_avg': expect.closeTo(0.3125, 14) });
});

test('the teacher only where the answer failed; the divisor stays', () => {
  const { loss, details } = kdrl.evaluate(input, { coef: 0.1, failedOnly: true });
  expect(loss).toBeCloseTo(0.5 + (0.1 * 0.125) / 2, 14);
  expect([...details!.gate!]).toEqual([1, 0]);
  expect(() => kdrl.evaluate({ ...input, perRow: {} }, { failedOnly: true })).toThrow('`perRow.rewards`');
});

test('with a clip', () => {
  const kept = { ...input, perToken: { advantages: Float64Array.of(1, 1) } };
  expect(kdrl.evaluate(kept, { coef: 0, clip: true }).loss).toBeCloseTo((-1.2 - 1) / 2, 14);
  expect(kdrl.evaluate(kept, { coef: 0 }).loss).toBeCloseTo((-2 - 1) / 2, 14);
});

test('with a weight of 0 the teacher has no pull, and its term is logged', () => {
  const { loss, cotangents, metrics } = kdrl.evaluate(input, { coef: 0 });
  expect(loss).toBeCloseTo((2 - 1) / 2, 14);
  expect([...cotangents.logprobs!]).toEqual([1, -0.5].map((x) => expect.closeTo(x, 14)));
  expect(meanMetrics(metrics)).toMatchObject({ 'loss/kl_avg': expect.closeTo(0.3125, 14) });
});

test('estimates held to a clamp', () => {
  const { metrics } = kdrl.evaluate(input, { klClamp: 0.25 });
  expect(meanMetrics(metrics)).toMatchObject({ 'loss/kl_avg': expect.closeTo((0.125 + 0.25) / 2, 14) });
});
