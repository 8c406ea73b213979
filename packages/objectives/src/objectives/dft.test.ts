import { expect, test } from 'vitest';
import { dft } from './dft.js';
import { sft } from './sft.js';

const rows = {
  rows: 2,
  tokens: 2,
  completionMask: Uint8Array.of(1, 1, 1, 0),
  policy: { logprobs: Float64Array.of(Math.log(0.5), Math.log(0.25), 0, Number.NaN) },
};

test('wu2025 eq 9: each token weighed by its probability', () => {
  const { loss, details } = dft.evaluate(rows);
  expect(loss).toBeCloseTo((0.5 * Math.log(2) + 0.25 * Math.log(4)) / 3, 15);
  expect([...details!.weights!]).toEqual([0.5, 0.25, 1, 0].map((weight) => expect.closeTo(weight, 15)));
});

test('gradient: the probability is held still', () => {
  const { logprobs } = dft.evaluate(rows).cotangents;
  expect([...logprobs!]).toEqual([-0.5 / 3, -0.25 / 3, -1 / 3, 0].map((slope) => expect.closeTo(slope, 15)));
});

test('the mean of row means', () => {
  const { loss } = dft.evaluate(rows, { reduction: 'rows' });
  expect(loss).toBeCloseTo((0.5 * Math.log(2) + 0.25 * Math.log(4)) / 4, 15);
});

test('is supervised fine-tuning where the completions are certain', () => {
  const near = { ...rows, policy: { logprobs: Float64Array.of(-1e-9, -2e-9, -3e-9, 0) } };
  expect(dft.evaluate(near).loss).toBeCloseTo(sft.evaluate(near).loss, 16);
});
