import { expect, test } from 'vitest';
import { slic } from './slic.js';

const pair = (chosen: number, rejected: number) => ({
  rows: 2,
  tokens: 2,
  completionMask: Uint8Array.of(1, 1, 1, 0),
  policy: { logprobs: Float64Array.of(chosen / 2, chosen / 2, rejected, 0) },
});

test('zhao2023 eq 3: max(0, margin - gap), and the likelihood of chosen', () => {
  expect(slic.evaluate(pair(-2, -2.5)).loss).toBeCloseTo(0.5 + 0.1 * 2, 15);
  expect(slic.evaluate(pair(-2, -2.5), { margin: 3, nllWeight: 0 }).loss).toBe(2.5);
  expect(slic.evaluate(pair(-2, -4), { nllWeight: 0 }).loss).toBe(0);
});

test('gradient: one for one until the margin is held', () => {
  expect([...slic.evaluate(pair(-2, -2.5), { nllWeight: 0 }).cotangents.logprobs!]).toEqual([-1, -1, 1, 0]);
  expect([...slic.evaluate(pair(-2, -4)).cotangents.logprobs!].map((x) => x || 0)).toEqual([-0.1, -0.1, 0, 0]);
});

test('the likelihood can be a mean', () => {
  expect(slic.evaluate(pair(-2, -4), { nllWeight: 1, nllReduction: 'tokens' }).loss).toBe(1);
});

test('below 0 the margin is a lead that rejected may have', () => {
  expect(slic.evaluate(pair(-2, -1.5), { margin: -0.75, nllWeight: 0 }).loss).toBe(0);
  expect(slic.evaluate(pair(-2, -1), { margin: -0.75, nllWeight: 0 }).loss).toBe(0.25);
});
