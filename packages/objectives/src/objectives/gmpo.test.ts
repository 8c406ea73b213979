import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { gmpo } from './gmpo.js';

test('zhao2025: each log-ratio is held on the side of its advantage, then averaged', () => {
  // 1 is held at 0.4 where the advantage is positive; -1 is not.
  const input = policyRows({
    logRatios: [
      [1, -1],
      [1, -1],
    ],
    advantages: [2, -2],
  });
  const { loss, cotangents, details } = gmpo.evaluate(input);
  const [up, down] = [Math.exp(-0.3), Math.exp(0.3)];
  expect([...details!.sequenceRatios!]).toEqual([up, down].map((x) => expect.closeTo(x, 14)));
  expect(loss).toBeCloseTo((-2 * up + 2 * down) / 2, 14);
  expect([...cotangents.logprobs!]).toEqual([0, -up / 2, down / 2, 0].map((x) => expect.closeTo(x, 14)));
});

test('an empty completion has ratio 1 and loss 0, and counts', () => {
  const { loss, details } = gmpo.evaluate(policyRows({ logRatios: [[0], []], advantages: [1, 1] }));
  expect(loss).toBe(-0.5);
  expect([...details!.sequenceRatios!]).toEqual([1, 1]);
});
