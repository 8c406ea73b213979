import { expect, test } from 'vitest';
import { randomInput, seeded } from '../testing/index.js';
import { dpo } from './dpo.js';
import { sparsePo } from './sparse-po.js';
import { tdpo1 } from './tdpo1.js';

const input = randomInput(sparsePo, sparsePo.needsOf(), seeded(5), { units: 3, tokens: 4 });
const constant = (value: number) => new Float64Array(input.rows * input.tokens).fill(value);
const weighed = (rewardWeights: Float64Array, klWeights: Float64Array) => ({
  ...input,
  perToken: { rewardWeights, klWeights },
});

test('all weights 1 is TDPO1', () => {
  const sparse = sparsePo.evaluate(weighed(constant(1), constant(1)), { beta: 0.2 });
  expect(sparse).toEqual(tdpo1.evaluate(input, { beta: 0.2 }));
});

test('no weight on divergences is a weighted DPO', () => {
  const { loss, cotangents } = sparsePo.evaluate(weighed(constant(3), constant(0)), { beta: 0.2 });
  const plain = dpo.evaluate(input, { beta: 0.6 });
  expect(loss).toBeCloseTo(plain.loss, 14);
  cotangents.logprobs!.forEach((value, at) => {
    expect(value).toBeCloseTo(plain.cotangents.logprobs![at]!, 14);
  });
  expect(cotangents.forwardKl!.every((value) => value === 0)).toBe(true);
});

test('shared weights are those of the reward, and no others are asked for', () => {
  const weights = constant(0).map((_, at) => (at % 3 === 0 ? 0 : at / 10));
  const shared = sparsePo.evaluate({ ...input, perToken: { rewardWeights: weights } }, { weights: 'shared' });
  expect(shared).toEqual(sparsePo.evaluate(weighed(weights, weights), { weights: 'independent' }));
  expect(sparsePo.needsOf({ weights: 'shared' }).perToken).toEqual(['rewardWeights']);
  expect(() => sparsePo.evaluate({ ...input, perToken: { rewardWeights: weights } })).toThrow('`perToken.klWeights`');
});

test('a token of weight 0 has no gradient', () => {
  const rewardWeights = constant(1).map((one, at) => (at % input.tokens === 0 ? 0 : one));
  const { cotangents } = sparsePo.evaluate(weighed(rewardWeights, constant(1)));
  for (let row = 0; row < input.rows; row++) {
    expect(cotangents.logprobs![row * input.tokens]! === 0).toBe(true);
    expect(cotangents.forwardKl![row * input.tokens]).not.toBe(0);
  }
});

test('a negative weight is refused with its place, but not where it is masked', () => {
  const rewardWeights = constant(1);
  rewardWeights[0] = -1;
  expect(() => sparsePo.evaluate(weighed(rewardWeights, constant(1)))).toThrow(
    '`perToken.rewardWeights`, row 0, token 0: expected a number from 0, got -1',
  );
  const completionMask = Uint8Array.from(input.completionMask);
  completionMask[0] = 0;
  expect(() => sparsePo.evaluate({ ...weighed(rewardWeights, constant(1)), completionMask })).not.toThrow();
});
