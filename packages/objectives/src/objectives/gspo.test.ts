import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { gspo } from './gspo.js';

/** A geometric mean of 2 from ratios 4 and 1. */
const input = policyRows({ logRatios: [[Math.log(4), 0], []], advantages: [-3, 5] });

test('zheng2025 eq 5: one ratio a completion, its gradient on each token alike', () => {
  const { loss, cotangents, details } = gspo.evaluate(input);
  expect(loss).toBeCloseTo(6 / 2, 14);
  expect([...cotangents.logprobs!]).toEqual([1.5, 1.5, 0, 0].map((x) => expect.closeTo(x, 14)));
  expect([...details!.ratios!]).toEqual([2, 2, 0, 0].map((x) => expect.closeTo(x, 14)));
});

test('clipped as a whole', () => {
  const { loss, cotangents, metrics } = gspo.evaluate({
    ...input,
    perToken: { advantages: Float64Array.of(3, 3, 0, 0) },
  });
  expect(loss).toBeCloseTo((-3 * 1.0004) / 2, 14);
  expect(cotangents.logprobs!.every((slope) => slope === 0)).toBe(true);
  expect(metrics['clip_ratio/high_mean']).toEqual({ sum: 1, count: 2 });
});
