import { expect, test } from 'vitest';
import { meanMetrics } from '../metrics.js';
import { alphaPo } from './alpha-po.js';
import { simpo } from './simpo.js';

const pair = (chosen: number, rejected: number) => ({
  rows: 2,
  tokens: 1,
  completionMask: Uint8Array.of(1, 1),
  policy: { logprobs: Float64Array.of(chosen, rejected) },
});

test('gupta2025: the reward is (1 - p^-α)/α', () => {
  // p = 1/4 and 1/16, α = 1/2: (1 - 2)/0.5 = -2 and (1 - 4)/0.5 = -6
  const { metrics } = alphaPo.evaluate(pair(-2 * Math.LN2, -4 * Math.LN2), { alpha: 0.5, beta: 1 });
  expect(meanMetrics(metrics)['rewards/chosen']).toBeCloseTo(-2, 14);
  expect(meanMetrics(metrics)['rewards/rejected']).toBeCloseTo(-6, 14);
});

test('gradient: SimPO times p^-α', () => {
  const options = { alpha: 0.5, beta: 1, gammaBetaRatio: 0 };
  const { logprobs } = alphaPo.evaluate(pair(-2 * Math.LN2, -2 * Math.LN2), options).cotangents;
  expect([...logprobs!]).toEqual([expect.closeTo(-1, 14), expect.closeTo(1, 14)]);
});

test('α = 0 is SimPO, bit for bit; small α is near it', () => {
  const input = pair(-1.3, -0.7);
  const { loss, cotangents } = simpo.evaluate(input);
  expect(alphaPo.evaluate(input, { alpha: 0 })).toMatchObject({ loss, cotangents });
  expect(alphaPo.evaluate(input, { alpha: 1e-9 }).loss).toBeCloseTo(loss, 8);
});

test('a completion that is next to impossible: a large loss, not an infinite one', () => {
  const { loss, cotangents } = alphaPo.evaluate(pair(-1e4, -1));
  expect(loss).toBeGreaterThan(1e120);
  expect(cotangents.logprobs![0]).toBeCloseTo(0, 300);
});
