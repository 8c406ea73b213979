import { describe, expect, test } from 'vitest';
import { meanMetrics } from '../metrics.js';
import { cpo } from './cpo.js';
import { dpo } from './dpo.js';

function pair(chosen: readonly number[], rejected: readonly number[]) {
  const tokens = Math.max(chosen.length, rejected.length);
  const logprobs = new Float64Array(2 * tokens);
  const completionMask = new Uint8Array(2 * tokens);
  for (const [row, values] of [chosen, rejected].entries()) {
    logprobs.set(values, row * tokens);
    completionMask.fill(1, row * tokens, row * tokens + values.length);
  }
  return { rows: 2, tokens, completionMask, policy: { logprobs } };
}

describe('xu2024 eq 5', () => {
  test('is DPO with a uniform reference, and the likelihood of chosen', () => {
    const input = pair([-1, -2], [-0.5, -1.5]);
    const reference = { logprobs: new Float64Array(4).fill(-3) };
    const other = dpo.evaluate({ ...input, reference }, { nllWeight: 1 });
    const own = cpo.evaluate(input);
    expect(own.loss).toBeCloseTo(other.loss, 14);
    expect([...own.cotangents.logprobs!]).toEqual([...other.cotangents.logprobs!].map((x) => expect.closeTo(x, 14)));
  });

  test('sums over tokens', () => {
    const { loss } = cpo.evaluate(pair([-1, -1], [-1]), { beta: 1, nllWeight: 0 });
    expect(loss).toBeCloseTo(Math.log1p(Math.exp(1)), 14);
  });
});

describe('other losses of the margin', () => {
  test('hinge: max(0, 1 - β gap)', () => {
    expect(cpo.evaluate(pair([-1], [-3]), { loss: 'hinge', nllWeight: 0 }).loss).toBeCloseTo(0.8, 15);
  });

  test('squared on averages: (gap - 1/(2β))², not scaled by β', () => {
    const input = pair([-1, -3], [-4]);
    const { loss, cotangents, metrics } = cpo.evaluate(input, { loss: 'squared', score: 'mean', nllWeight: 0 });
    expect(loss).toBeCloseTo((2 - 5) ** 2, 13);
    expect([...cotangents.logprobs!]).toEqual([-3, -3, 6, 0].map((x) => expect.closeTo(x, 13)));
    expect(meanMetrics(metrics)['logps/chosen']).toBe(-2);
  });

  test('bent rewards: (1 - p^-α)/α', () => {
    const { details } = cpo.evaluate(pair([-2 * Math.LN2], [-1]), { alpha: 0.5, beta: 1 });
    expect(details!.implicitRewards![0]).toBeCloseTo(-2, 14);
  });
});
