import { expect, test } from 'vitest';
import { apoZeroUnpaired } from './apo-zero-unpaired.js';
import { kto } from './kto.js';

function rows(desirable: readonly number[], undesirable: readonly number[]) {
  const logratios = [...desirable, ...undesirable];
  return {
    rows: logratios.length,
    tokens: 1,
    completionMask: new Uint8Array(logratios.length).fill(1),
    policy: { logprobs: Float64Array.from(logratios, (r) => r - 2) },
    reference: { logprobs: new Float64Array(logratios.length).fill(-2) },
    perRow: { labels: Uint8Array.from([...desirable.map(() => 1), ...undesirable.map(() => 0)]) },
  };
}

test("d'oosterlinck2024 apo-zero: 1 - σ(βr) of desirable, σ(βr) of undesirable rows", () => {
  expect(apoZeroUnpaired.evaluate(rows([Math.log(3)], []), { beta: 1 }).loss).toBeCloseTo(0.25, 15);
  expect(apoZeroUnpaired.evaluate(rows([], [Math.log(3)]), { beta: 1 }).loss).toBeCloseTo(0.75, 15);
});

test('gradient: w β σ σ / rows', () => {
  const { logprobs } = apoZeroUnpaired.evaluate(rows([0], [0]), { beta: 0.4, undesirableWeight: 3 }).cotangents;
  expect([...logprobs!]).toEqual([expect.closeTo(-0.05, 15), expect.closeTo(0.15, 15)]);
});

test("is KTO where KTO's reference point is 0", () => {
  const input = rows([1, -2], [0.5, 3]);
  const still = { rows: 1, tokens: 1, completionMask: Uint8Array.of(1), policy: { logprobs: Float64Array.of(-1) } };
  const mismatched = { ...still, reference: still.policy };
  const weights = { desirableWeight: 1.3, undesirableWeight: 0.7 };
  const { loss, cotangents } = apoZeroUnpaired.evaluate(input, weights);
  const other = kto.evaluate({ ...input, batches: { mismatched } }, weights);
  expect(loss).toBeCloseTo(other.loss, 15);
  expect([...cotangents.logprobs!]).toEqual([...other.cotangents.logprobs!].map((slope) => expect.closeTo(slope, 15)));
});
