import { describe, expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { grpo } from './grpo.js';

/** Ratios 2 and 1 on a row of two tokens, 1/2 on a row of one; d = log 2 on the very first token. */
const input = policyRows({
  logRatios: [[Math.LN2, 0], [-Math.LN2]],
  advantages: [1, -2],
  referenceLogRatios: [[Math.LN2, 0], [0]],
});

describe('shao2024 eq 3', () => {
  test('mean over rows of row means, clipped to either side', () => {
    const { loss, cotangents } = grpo.evaluate(input, { beta: 0 });
    // -(1.2 + 1)/2 and 2 · 0.8, over two rows.
    expect(loss).toBeCloseTo((-1.1 + 1.6) / 2, 14);
    expect([...cotangents.logprobs!]).toEqual([0, -0.25, 0, 0].map((x) => expect.closeTo(x, 14)));
  });

  test('k3 in the loss: its value estimates one KL, its gradient descends the other', () => {
    const { loss, cotangents, metrics } = grpo.evaluate({ ...input, perToken: { advantages: new Float64Array(4) } });
    expect(loss).toBeCloseTo((0.04 * (Math.LN2 - 0.5)) / 4, 14);
    expect(cotangents.logprobs![0]).toBeCloseTo((0.04 * 0.5) / 4, 14);
    expect(metrics.kl).toEqual({ sum: expect.closeTo(Math.LN2 - 0.5, 14), count: 3 });
  });

  test('logs which share of the tokens the clip holds', () => {
    const { metrics } = grpo.evaluate(input);
    expect(metrics['clip_ratio/high_mean']).toEqual({ sum: 1, count: 3 });
    expect(metrics['clip_ratio/low_mean']).toEqual({ sum: 1, count: 3 });
    expect(metrics['clip_ratio/region_mean']).toEqual({ sum: 2, count: 3 });
  });
});

test('on policy: every ratio is 1, and no old scores are read', () => {
  const { old: _, ...rest } = input;
  const { loss, cotangents } = grpo.evaluate(rest, { onPolicy: true, beta: 0 });
  expect(loss).toBeCloseTo((-1 + 2) / 2, 14);
  expect([...cotangents.logprobs!]).toEqual([-0.25, -0.25, 1, 0].map((x) => expect.closeTo(x, 14)));
  expect(() => grpo.evaluate(rest)).toThrow('`old.logprobs`');
});

test('an entropy bonus asks for the entropy, and has its gradient', () => {
  const scored = { ...input, policy: { ...input.policy, entropy: Float64Array.of(1, 3, 2, 9) } };
  const { loss, cotangents } = grpo.evaluate(scored, { beta: 0, entropyCoef: 0.5 });
  expect(loss).toBeCloseTo(0.25 - 0.5 * 2, 14);
  expect([...cotangents.entropy!].map((x) => x + 0)).toEqual([-0.125, -0.125, -0.25, 0]);
  expect(() => grpo.evaluate(input, { entropyCoef: 0.5 })).toThrow('`policy.entropy`');
});

test('a negative beta is refused', () => {
  expect(() => grpo.resolveOptions({ beta: -1 })).toThrow('option `beta`');
});
