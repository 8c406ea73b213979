import { describe, expect, test } from 'vitest';
import { sft } from './sft.js';
import { superhf } from './superhf.js';

const input = {
  rows: 2,
  tokens: 2,
  completionMask: Uint8Array.of(1, 1, 1, 0),
  policy: { logprobs: Float64Array.of(-1, -2, -3, Number.NaN), forwardKl: Float64Array.of(0.1, 0.3, 0.4, Number.NaN) },
};

describe('mukobi2023', () => {
  test('without its penalties it is likelihood', () => {
    const { loss, cotangents } = superhf.evaluate(input, { klCoef: 0 });
    const plain = sft.evaluate(input);
    expect(loss).toBe(plain.loss);
    expect(cotangents.logprobs).toEqual(plain.cotangents.logprobs);
  });

  test('the inverse, by hand', () => {
    const { loss, cotangents } = superhf.evaluate(input, { klCoef: 0, inversePenalty: 0.5 });
    expect(loss).toBeCloseTo(2 + 0.25, 14);
    expect(cotangents.logprobs![0]).toBeCloseTo(-(1 - 0.5 / 4) / 3, 14);
  });

  test('the KL is summed over rows, or their mean', () => {
    const summed = superhf.evaluate(input, { klCoef: 0.5 });
    expect(summed.loss).toBeCloseTo(2 + 0.5 * (0.2 + 0.4), 14);
    expect([...summed.cotangents.forwardKl!]).toEqual([0.25, 0.25, 0.5, 0]);
    const mean = superhf.evaluate(input, { klCoef: 0.5, klReduction: 'mean' });
    expect(mean.loss).toBeCloseTo(2 + 0.5 * 0.3, 14);
    expect(summed.details!.rowKls![0]).toBeCloseTo(0.2, 14);
  });

  test('with no token there is nothing to invert', () => {
    const empty = { ...input, completionMask: new Uint8Array(4) };
    expect(superhf.evaluate(empty, { inversePenalty: 1 }).loss).toBeCloseTo(0, 14);
  });

  test('wrong options are refused', () => {
    expect(() => superhf.evaluate(input, { inversePenalty: -1 })).toThrow(/`inversePenalty`/);
  });
});
