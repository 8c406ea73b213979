import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { cispo } from './cispo.js';

const input = policyRows({ logRatios: [[Math.log(8), Math.log(2)], [Math.log(0.25)]], advantages: [1, -3] });

test('minimax2025 eq 4: the weight is clipped, the gradient stays', () => {
  const { loss, cotangents, details, metrics } = cispo.evaluate(input);
  expect([...details!.weights!]).toEqual([5, 2, 0.25, 0].map((x) => expect.closeTo(x, 14)));
  expect([...cotangents.logprobs!]).toEqual([-5, -2, 0.75, 0].map((x) => expect.closeTo(x / 3, 14)));
  expect(loss).toBeCloseTo((2 * (5 + 2 - 0.75)) / 3, 14);
  expect(metrics.cispo_clip_ratio).toEqual({ sum: 1, count: 3 });
});

test('the bounds are of the ratio itself; a lower one too', () => {
  const { details } = cispo.evaluate(input, { ratioMin: 0.8, ratioMax: 1.28 });
  expect([...details!.weights!]).toEqual([1.28, 1.28, 0.8, 0]);
});
