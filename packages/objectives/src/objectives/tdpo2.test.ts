import { expect, test } from 'vitest';
import { randomInput, seeded } from '../testing/index.js';
import { dpo } from './dpo.js';
import { tdpo1 } from './tdpo1.js';
import { tdpo2 } from './tdpo2.js';

const inputOf = (seed: number) => randomInput(tdpo2, tdpo2.needsOf(), seeded(seed), { units: 5, tokens: 7 });

test('alpha = 0 is DPO to the last bit, and asks nothing of the divergence', () => {
  for (let seed = 0; seed < 20; seed++) {
    const input = inputOf(seed);
    const beta = 0.05 * (seed + 1);
    const token = tdpo2.evaluate(input, { beta, alpha: 0 });
    const plain = dpo.evaluate(input, { beta });
    expect(token.loss).toBe(plain.loss);
    expect(token.cotangents.logprobs).toEqual(plain.cotangents.logprobs);
    expect(token.cotangents.forwardKl!.every((value) => value === 0)).toBe(true);
  }
});

test("alpha = 1 is the first form, but for the gradient of the chosen side's divergence", () => {
  const input = inputOf(3);
  const first = tdpo1.evaluate(input, { beta: 0.3 });
  const second = tdpo2.evaluate(input, { beta: 0.3, alpha: 1 });
  expect(second.loss).toBeCloseTo(first.loss, 14);
  const { tokens } = input;
  second.cotangents.forwardKl!.forEach((value, at) => {
    const chosen = Math.floor(at / tokens) % 2 === 0;
    expect(value).toBe(chosen ? 0 : first.cotangents.forwardKl![at]);
  });
});

test('zeng2024 eq 17, by hand', () => {
  const beta = 0.5;
  const alpha = 2;
  const { loss, cotangents, details } = tdpo2.evaluate(
    {
      rows: 2,
      tokens: 1,
      completionMask: Uint8Array.of(1, 1),
      policy: { logprobs: Float64Array.of(-1, -3), forwardKl: Float64Array.of(0.25, 1) },
      reference: { logprobs: Float64Array.of(-2, -2) },
    },
    { beta, alpha },
  );
  const h = 1 + 1 - alpha * (1 - 0.25);
  const slope = -beta / (1 + Math.exp(beta * h));
  expect(loss).toBeCloseTo(Math.log(1 + Math.exp(-beta * h)), 14);
  expect([...cotangents.logprobs!]).toEqual([expect.closeTo(slope, 14), expect.closeTo(-slope, 14)]);
  expect([...cotangents.forwardKl!]).toEqual([0, expect.closeTo(-alpha * slope, 14)]);
  // Rewards leave alpha out.
  expect([...details!.implicitRewards!]).toEqual([0.625, 0]);
});

test('a negative alpha is refused', () => {
  expect(() => tdpo2.evaluate(inputOf(0), { alpha: -0.5 })).toThrow('`alpha`');
});
