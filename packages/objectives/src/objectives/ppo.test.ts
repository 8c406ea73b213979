import { describe, expect, test } from 'vitest';
import type { ObjectiveInput } from '../input.js';
import { meanMetrics } from '../metrics.js';
import { policyRows } from '../testing/policy-rows.js';
import { ppo } from './ppo.js';

const rows = policyRows({ logRatios: [[Math.LN2, 0], [-Math.LN2]], advantages: [1, -2] });
const input = {
  ...rows,
  policy: { ...rows.policy, values: Float64Array.of(1, 2, 0, 0) },
  old: { ...rows.old, values: Float64Array.of(1, 1, 0, 0) },
  perToken: { ...rows.perToken, returns: Float64Array.of(0, 1, 3, 0) },
} satisfies ObjectiveInput;

describe('schulman2017 eq 7 and 9', () => {
  test('the policy: mean over all tokens', () => {
    const { loss, cotangents } = ppo.evaluate(rows, { valueCoef: 0 });
    expect(loss).toBeCloseTo((-1.2 - 1 + 1.6) / 3, 14);
    expect([...cotangents.logprobs!]).toEqual([0, -1 / 3, 0, 0].map((x) => expect.closeTo(x, 14)));
    expect(cotangents.values).toBeUndefined();
  });

  test('the values: half the squared error, the worse of free and clipped', () => {
    const { loss, cotangents, metrics } = ppo.evaluate(input, { valueCoef: 1 });
    // Errors 1, 1 (clipped: 0.2, the smaller), -3.
    expect(loss).toBeCloseTo((-0.6 + 0.5 * (1 + 1 + 9)) / 3, 14);
    expect([...cotangents.values!]).toEqual([1 / 3, 1 / 3, -1, 0].map((x) => expect.closeTo(x, 14)));
    expect(metrics['val/clipfrac_avg']).toEqual({ sum: 0, count: 3 });
  });

  test('a value that ran away from its return is held', () => {
    const away = { ...input, perToken: { ...input.perToken, returns: Float64Array.of(0, 3, 3, 0) } };
    const { cotangents, metrics } = ppo.evaluate(away, { valueCoef: 1 });
    // Value 2 for return 3, from 1: clipped to 1.2, whose error is the larger.
    expect(cotangents.values![1]).toBe(0);
    expect(metrics['val/clipfrac_avg']).toEqual({ sum: 1, count: 3 });
    expect(ppo.evaluate(away, { valueCoef: 1, valueClipRange: 0 }).cotangents.values![1]).toBeCloseTo(-1 / 3, 14);
  });
});

test("keys and meanings of TRL's PPO, over completion tokens alone", () => {
  const { metrics } = ppo.evaluate(input);
  expect(meanMetrics(metrics)).toMatchObject({
    'policy/clipfrac_avg': expect.closeTo(2 / 3, 14),
    'policy/approxkl_avg': expect.closeTo(Math.LN2 ** 2 / 3, 14),
    'policy/approxkl_k1': expect.closeTo(0, 14),
    'policy/approxkl_k3': expect.closeTo((1 - Math.LN2 + Math.LN2 - 0.5) / 3, 14),
    'val/ratio': expect.closeTo(3.5 / 3, 14),
    'loss/policy_avg': expect.closeTo(-0.2, 14),
    'loss/value_avg': expect.closeTo(5.5 / 3, 14),
  });
});

test('values are asked for where there is a value loss', () => {
  expect(() => ppo.evaluate(rows)).toThrow('`policy.values`');
  expect(ppo.needsOf({ valueClipRange: 0 }).old).toEqual(['logprobs']);
});
