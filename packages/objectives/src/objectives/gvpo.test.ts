import { describe, expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { gvpo } from './gvpo.js';

/** Summed log-ratios 3, 1 and 0 (an empty completion) in one group. */
const input = policyRows({ logRatios: [[1, 2], [1], []], rewards: [1, 0, 2] });

describe('zhang2025 eq 11', () => {
  test('residuals of implicit rewards and rewards, both about their mean', () => {
    const { loss, cotangents, details } = gvpo.evaluate(input, { beta: 3 });
    // 9, 3, 0 about 4; 1, 0, 2 about 1.
    expect([...details!.residuals!]).toEqual([5, 0, -5].map((x) => expect.closeTo(x, 14)));
    expect(loss).toBeCloseTo((25 + 25) / 4, 13);
    expect([...cotangents.logprobs!]).toEqual([7.5, 7.5, 0, 0, 0, 0].map((x) => expect.closeTo(x, 13)));
  });

  test('a reward that is missing takes its row out; one row alone tells nothing', () => {
    const holed = policyRows({ logRatios: [[1], [3], [5]], rewards: [0, 0, Number.NaN] });
    const { details } = gvpo.evaluate(holed, { beta: 1 });
    expect([...details!.residuals!]).toEqual([-1, 1, 0]);
    const alone = policyRows({ logRatios: [[1], [3]], rewards: [0, 0], groups: [0, 1] });
    expect(gvpo.evaluate(alone).loss).toBe(0);
  });

  test('at rest where implicit rewards differ as rewards do: π ∝ π_old exp(R/beta)', () => {
    const { cotangents } = gvpo.evaluate(policyRows({ logRatios: [[2], [6]], rewards: [1, 3] }), { beta: 0.5 });
    expect([...cotangents.logprobs!]).toEqual([expect.closeTo(0, 15), expect.closeTo(0, 15)]);
  });

  test('pulled to the reference in place of the policy that sampled', () => {
    const { old, ...rest } = input;
    const anchored = { ...rest, reference: old! };
    expect(gvpo.evaluate(anchored, { anchor: 'reference' })).toEqual(gvpo.evaluate(input));
    expect(() => gvpo.evaluate(anchored)).toThrow('`old.logprobs`');
  });
});
