import { describe, expect, test } from 'vitest';
import { pairsOf } from '../testing/index.js';
import { rpo } from './rpo.js';

const log3 = Math.log(3);

/** z = log 3 at beta 1: σ(z) = 3/4. */
const judged = (chosen: number, rejected: number) => ({
  ...pairsOf([[log3], [0]]),
  perRow: { rewards: Float64Array.of(chosen, rejected) },
});

const at = (form: 'squared' | 'backward-kl' | 'forward-kl', chosen: number, rejected: number) => {
  const { loss, cotangents } = rpo.evaluate(judged(chosen, rejected), { beta: 1, form });
  return [loss, ...cotangents.logprobs!];
};

describe("adler2024 3.3.2, NeMo's forms", () => {
  test('squared: (z - y)²', () => {
    expect(at('squared', 2, 2)).toEqual([log3 ** 2, 2 * log3, -2 * log3].map((value) => expect.closeTo(value, 14)));
  });

  test('backward-kl: KL(σ(y) ‖ σ(z))', () => {
    const kl = 0.5 * Math.log(0.5 / 0.75) + 0.5 * Math.log(0.5 / 0.25);
    expect(at('backward-kl', 2, 2)).toEqual([kl, 0.25, -0.25].map((value) => expect.closeTo(value, 14)));
  });

  test('forward-kl: KL(σ(z) ‖ σ(y))', () => {
    const kl = 0.75 * Math.log(1.5) + 0.25 * Math.log(0.5);
    const slope = (3 / 16) * log3;
    expect(at('forward-kl', 2, 2)).toEqual([kl, slope, -slope].map((value) => expect.closeTo(value, 14)));
  });

  test('0 where the implicit gap is the given one', () => {
    for (const form of ['squared', 'backward-kl', 'forward-kl'] as const) {
      for (const value of at(form, log3, 0)) expect(value).toBeCloseTo(0, 15);
    }
  });

  test('eta scales the given rewards', () => {
    const { loss } = rpo.evaluate(judged(2 * log3, 0), { beta: 1, eta: 0.5, form: 'squared' });
    expect(loss).toBeCloseTo(0, 15);
  });
});

test('a pair not judged adds nothing and counts', () => {
  const input = {
    ...pairsOf([[1], [0]], [[3], [2]]),
    perRow: { rewards: Float64Array.of(Number.NaN, 0, 0, 0) },
  };
  const { loss, cotangents, details } = rpo.evaluate(input, { beta: 1, form: 'squared' });
  expect(loss).toBe(0.5);
  expect([...cotangents.logprobs!]).toEqual([0, 0, 1, -1]);
  expect([...details!.losses!]).toEqual([0, 1]);
});
