import { describe, expect, test } from 'vitest';
import { asymmetricWeights } from './asymmetric.js';
import { updatedReference } from './reference-update.js';
import { sftProbability } from './sft-probability.js';
import { weightSoup } from './soup.js';

describe('weight soups', () => {
  test('the mean, or a weighted one', () => {
    expect([
      ...weightSoup([
        [1, 2],
        [3, 6],
      ]),
    ]).toEqual([2, 4]);
    expect([
      ...weightSoup(
        [
          [1, 2],
          [3, 6],
        ],
        [0.75, 0.25],
      ),
    ]).toEqual([1.5, 3]);
    expect([...weightSoup([[1, 2]])]).toEqual([1, 2]);
  });

  test('models that do not match are named', () => {
    expect(() => weightSoup([[1, 2], [3]])).toThrow('models[1]: expected 2 parameters, got 1');
    expect(() => weightSoup([[1], [3]], [1])).toThrow('weights: expected 2 numbers, got 1');
    expect(() => weightSoup([])).toThrow('models');
  });
});

describe('gorbatovski2024', () => {
  const policy = Float64Array.of(10, -10);
  const reference = Float64Array.of(0, 5);

  test('moves at every multiple of the period, and only there', () => {
    const after = (step: number) => updatedReference({ reference, policy, step }, { every: 3 });
    expect(after(2)).toBe(reference);
    expect([...after(3)]).toEqual([6, -4]);
    expect(after(4)).toBe(reference);
  });

  test('hard: a copy of the policy', () => {
    expect([...updatedReference({ reference, policy, step: 1 }, { alpha: 1, every: 1 })]).toEqual([10, -10]);
  });

  test('a share outside [0, 1] is refused', () => {
    expect(() => updatedReference({ reference, policy, step: 1 }, { alpha: 1.5 })).toThrow('alpha');
    expect(() => updatedReference({ reference, policy, step: 1 }, { every: 0 })).toThrow('every');
  });
});

test('chen2025: even odds at the norm of the warm-up, none without a gradient', () => {
  expect(sftProbability({ gradientNorm: 3, warmupGradientNorm: 3 })).toBe(0.5);
  expect(sftProbability({ gradientNorm: 3, warmupGradientNorm: 1, gamma: 9 })).toBe(0.25);
  expect(sftProbability({ gradientNorm: 0, warmupGradientNorm: 0 })).toBe(0);
  expect(() => sftProbability({ gradientNorm: -1, warmupGradientNorm: 1 })).toThrow('gradientNorm');
});

describe('asymmetric weights', () => {
  const groups = Int32Array.of(0, 0, 0, 0);
  const weigh = (rewards: readonly number[], lengths: readonly number[]) =>
    asymmetricWeights({ rewards: Float64Array.from(rewards), groups, lengths: Float64Array.from(lengths) });

  test('the harder the prompt, the less a right answer is held', () => {
    const { difficulties, klWeights } = weigh([1, 0, 0, 0], [5, 5, 5, 5]);
    expect([...difficulties]).toEqual([0.75, 0.75, 0.75, 0.75]);
    expect(klWeights[0]).toBeCloseTo(1 - Math.exp(-Math.E / 4), 15);
    expect([...klWeights.slice(1)]).toEqual([1, 1, 1]);
  });

  test('wrong answers pay for the tokens they have beyond the mean right one', () => {
    const { advantageScales, advantages } = weigh([1, 1, 0, 0], [100, 300, 200, 1200]);
    expect([...advantageScales]).toEqual([1, 1, 1, expect.closeTo(2 - 1.00001 ** -1000, 14)]);
    expect(advantages[3]! / advantages[2]!).toBeCloseTo(advantageScales[3]!, 14);
  });

  test('all right or all wrong: full KL, no advantage, whatever the lengths', () => {
    for (const reward of [0, 1]) {
      const weights = weigh([reward, reward, reward, reward], [1, 2, 3, 4000]);
      expect([...weights.klWeights, ...weights.advantageScales]).toEqual(Array(8).fill(1));
      expect([...weights.advantages]).toEqual([0, 0, 0, 0]);
    }
  });
});
