import { expect, it } from 'vitest';
import { batchReward } from '../function.js';
import { hashedUniforms } from '../hash.js';
import { length } from '../sources/index.js';
import { rowOf } from '../testing/rows.js';
import { momentsOfRewards } from './normalised.js';
import { plantedError, studentT } from './planted-error.js';

const count = 20_000;
/** Normal gold rewards with mean 3 and deviation 2. */
const gold = batchReward((all) => all.map(({ meta }) => Number(meta.gold)), { name: 'gold' });
const rows = Array.from({ length: count }, (_, at) =>
  rowOf(`completion ${at}`, {
    meta: { gold: 3 + 2 * studentT(hashedUniforms(99, `${at}`), Number.POSITIVE_INFINITY) },
  }),
);
const moments = { mean: 3, deviation: 2 };

const mean = (x: Float64Array): number => x.reduce((sum, value) => sum + value, 0) / x.length;
function correlation(x: Float64Array, y: Float64Array): number {
  const [a, b] = [momentsOfRewards(x), momentsOfRewards(y)];
  return mean(x.map((value, at) => (value - a.mean) * (y[at]! - b.mean))) / Math.sqrt(a.variance * b.variance);
}

it.each([
  [0.8, Number.POSITIVE_INFINITY],
  [0.3, Number.POSITIVE_INFINITY],
  [0.6, 5],
])(
  'has correlation %d with gold, and its mean and deviation, at %d degrees of freedom',
  async (rho, degreesOfFreedom) => {
    const proxy = plantedError(gold, { seed: 1, gold: moments, correlation: rho, degreesOfFreedom });
    const { rewards, parts } = await proxy.judge(rows);
    // Four standard errors of a correlation and a mean of 20,000 draws.
    expect(correlation(rewards, parts.gold!)).toBeCloseTo(rho, 1.5);
    expect(Math.abs(mean(rewards) - 3)).toBeLessThan(0.06);
    expect(Math.abs(momentsOfRewards(rewards).deviation - 2)).toBeLessThan(0.12);
    for (const [at, error] of parts['gold/proxy/error']!.entries())
      expect(error).toBeCloseTo(rewards[at]! - parts.gold![at]!, 12);
  },
);

it('gives a completion the same error again, whatever its neighbours; another seed or prompt gives another', async () => {
  const of = (seed: number) => plantedError(gold, { seed, gold: moments, correlation: 0.5 });
  const some = rows.slice(0, 3);
  const { rewards } = await of(1).judge(some);
  expect((await of(1).judge([some[2]!])).rewards[0]).toBe(rewards[2]);
  expect((await of(2).judge(some)).rewards[0]).not.toBe(rewards[0]);
  const elsewhere = await of(1).judge([{ ...some[0]!, prompt: 'Another:' }]);
  expect(elsewhere.rewards[0]).not.toBe(rewards[0]);
});

it('is gold at correlation 1, moved by its bias and by what it leans on', async () => {
  const some = rows.slice(0, 5);
  const same = await plantedError(gold, { seed: 1, gold: moments, correlation: 1 }).judge(some);
  for (const [at, value] of same.parts.gold!.entries()) expect(same.rewards[at]).toBeCloseTo(value, 12);
  const moved = await plantedError(gold, {
    seed: 1,
    gold: moments,
    correlation: 1,
    bias: 0.5,
    leaning: { on: length.open({ unit: 'words' }), slope: 0.1 },
  }).judge(some);
  for (const [at, value] of same.rewards.entries()) expect(moved.rewards[at]! - value).toBeCloseTo(2 * (0.5 + 0.2), 12);
});

it('has tails as heavy as asked for', () => {
  const draws = (degrees: number): number[] =>
    Array.from({ length: count }, (_, at) => studentT(hashedUniforms(7, `${at}`), degrees));
  const beyond = (values: readonly number[], x: number): number => values.filter((v) => Math.abs(v) > x).length / count;
  // P(|x| > 4 deviations): 6e-5 for the normal, 0.0062 for t with 3 degrees at variance 1 (|t| > 4 √3).
  expect(beyond(draws(Number.POSITIVE_INFINITY), 4)).toBeLessThan(5e-4);
  expect(Math.abs(beyond(draws(3), 4) - 0.0062)).toBeLessThan(0.0023);
  // Cauchy, one degree: P(|t| > 1) = 1/2.
  expect(Math.abs(beyond(draws(1), 1) - 0.5)).toBeLessThan(0.015);
  // A million degrees are as good as the limit.
  for (const [at, draw] of draws(1e6).slice(0, 50).entries())
    expect(draw).toBeCloseTo(studentT(hashedUniforms(7, `${at}`), Number.POSITIVE_INFINITY), 3);
});
