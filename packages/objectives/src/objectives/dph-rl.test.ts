import { describe, expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { dphRl } from './dph-rl.js';

/** u = 2, and u = 1. */
const input = policyRows({ logRatios: [[0, 0]], referenceLogRatios: [[Math.LN2, 0]] });

describe('generators at u = 2', () => {
  test.each([
    ['forward-kl', 1 - Math.LN2, 1],
    ['js', 2 * Math.LN2 - 3 * Math.log(1.5), 2 * Math.log(4 / 3)],
    ['alpha', (Math.SQRT2 - 1.5) / -0.25, (2 * (1 - Math.SQRT1_2)) / 0.5],
  ] as const)('%s', (generator, value, slope) => {
    const { loss, cotangents, details } = dphRl.evaluate(input, { generator, alpha: 0.5, coef: 3 });
    expect(loss).toBeCloseTo((3 * value) / 2, 13);
    expect(details!.divergence![0]).toBeCloseTo(value, 13);
    expect([...cotangents.logprobs!]).toEqual([expect.closeTo(1.5 * slope, 13), expect.closeTo(0, 15)]);
  });
});

test('0 on the initial policy, and no gradient', () => {
  const { loss, cotangents } = dphRl.evaluate(policyRows({ logRatios: [[0]], referenceLogRatios: [[0]] }));
  expect([loss, cotangents.logprobs![0]]).toEqual([expect.closeTo(0, 15), expect.closeTo(0, 15)]);
});

test('the ends of alpha are reverse and forward KL', () => {
  const at = (alpha: number) => dphRl.evaluate(input, { generator: 'alpha', alpha }).details!.divergence![0];
  expect(at(0)).toBeCloseTo(2 * Math.LN2 - 1, 13);
  expect(at(1)).toBeCloseTo(1 - Math.LN2, 13);
});
