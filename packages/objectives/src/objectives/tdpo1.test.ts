import { expect, test } from 'vitest';
import type { ObjectiveInput } from '../input.js';
import { tdpo1 } from './tdpo1.js';

/** One pair: chosen of two tokens, rejected of one. */
const input = {
  rows: 2,
  tokens: 2,
  completionMask: Uint8Array.of(1, 1, 1, 0),
  policy: { logprobs: Float64Array.of(-1, -2, -3, Number.NaN), forwardKl: Float64Array.of(0.1, 0.3, 1, Number.NaN) },
  reference: { logprobs: Float64Array.of(-2, -3, -2, Number.NaN) },
} satisfies ObjectiveInput;

test('zeng2024 eq 15: the margin is that of logratios plus sequential divergences', () => {
  const beta = 0.5;
  // M: 2 and -1; K: 0.4 and 1.
  const h = 2 + 1 - (1 - 0.4);
  const { loss, cotangents, details, metrics } = tdpo1.evaluate(input, { beta });
  expect(loss).toBeCloseTo(Math.log(1 + Math.exp(-beta * h)), 14);
  const slope = -beta / (1 + Math.exp(beta * h));
  expect([...cotangents.logprobs!]).toEqual([slope, slope, -slope, 0].map((value) => expect.closeTo(value, 14)));
  expect([...cotangents.forwardKl!]).toEqual([slope, slope, -slope, 0].map((value) => expect.closeTo(value, 14)));
  expect([...details!.logratios!]).toEqual([2, -1]);
  expect([...details!.sequenceKls!]).toEqual([expect.closeTo(0.4, 14), 1]);
  expect([...details!.implicitRewards!]).toEqual([expect.closeTo(0.5 * 2.4, 14), 0]);
  expect(metrics['kl/chosen']).toEqual({ sum: expect.closeTo(0.4, 14), count: 1 });
  expect(metrics['rewards/margins']).toEqual({ sum: expect.closeTo(1.2, 14), count: 1 });
});

test('with divergences equal on both sides it is DPO', () => {
  const forwardKl = Float64Array.of(0.25, 0.75, 1, 0);
  const { loss } = tdpo1.evaluate({ ...input, policy: { ...input.policy, forwardKl } }, { beta: 1 });
  expect(loss).toBeCloseTo(Math.log(1 + Math.exp(-3)), 14);
});

test('a divergence that is not finite is told with its place', () => {
  const forwardKl = Float64Array.of(0, Number.POSITIVE_INFINITY, 0, 0);
  expect(() => tdpo1.evaluate({ ...input, policy: { ...input.policy, forwardKl } })).toThrow(
    '`policy.forwardKl`, row 0, token 1: expected a finite number',
  );
});
