import { expect, test } from 'vitest';
import {
  discriminatorKinds,
  discriminatorLoss,
  discriminatorRewards,
  proportionalKlController,
  steppedKlController,
} from './index.js';

const current = Float64Array.of(-1, 0.5, 2);
const reference = Float64Array.of(0.3, -0.7);

test.each(discriminatorKinds)('slopes of the %s loss are its differences', (kind) => {
  const { currentSlopes, referenceSlopes } = discriminatorLoss(kind, current, reference);
  const moved = (scores: Float64Array, at: number, step: number) =>
    scores.map((score, i) => (i === at ? score + step : score));
  const difference = (at: (step: number) => number) => (at(1e-6) - at(-1e-6)) / 2e-6;
  currentSlopes.forEach((slope, i) => {
    expect(slope).toBeCloseTo(
      difference((step) => discriminatorLoss(kind, moved(current, i, step), reference).loss),
      8,
    );
  });
  referenceSlopes.forEach((slope, i) => {
    expect(slope).toBeCloseTo(
      difference((step) => discriminatorLoss(kind, current, moved(reference, i, step)).loss),
      8,
    );
  });
});

test('losses at points worked out by hand', () => {
  const zero = Float64Array.of(0);
  expect(discriminatorLoss('logistic', zero, zero).loss).toBeCloseTo(2 * Math.LN2, 14);
  expect(discriminatorLoss('tv', Float64Array.of(1), Float64Array.of(-1)).loss).toBeCloseTo(
    -2 * Math.tanh(1) + 0.02,
    14,
  );
  expect(discriminatorLoss('wasserstein', Float64Array.of(3, 5), Float64Array.of(1)).loss).toBe(-3);
  expect(discriminatorLoss('logistic', new Float64Array(), new Float64Array()).loss).toBe(0);
});

test('penalties of each kind', () => {
  const scores = Float64Array.of(1, -1, 0);
  const rewards = (kind: Parameters<typeof discriminatorRewards>[0], clip = Number.POSITIVE_INFINITY) => [
    ...discriminatorRewards(kind, scores, { coefficient: 2, clip }).rewards,
  ];
  expect(rewards('kl')).toEqual([-2, 2, -0]);
  expect(rewards('wasserstein')).toEqual([-2, 2, -0]);
  expect(rewards('tv')).toEqual([-2, 2, -0]);
  expect(rewards('chi2')).toEqual([-2 * Math.expm1(1), -2 * Math.expm1(-1), -0]);
  expect(rewards('kl', 0.5)).toEqual([-0.5, 0.5, -0]);
});

test('the root is scaled by a mean without its lowest and highest hundredth', () => {
  const scores = Float64Array.from({ length: 200 }, (_, i) => (i === 7 ? 900 : i === 8 ? -50 : Math.log(2)));
  const { trimmedChi2, rewards, dropped } = discriminatorRewards('sqrt-chi2', scores, { coefficient: 1 });
  expect(trimmedChi2).toBeCloseTo(1, 12);
  expect(rewards[0]).toBeCloseTo(-1, 12);
  expect([rewards[7], dropped]).toEqual([0, 1]);
});

test('with fewer than a hundred scores nothing is trimmed, and nothing vanishes', () => {
  const { trimmedChi2, rewards } = discriminatorRewards('sqrt-chi2', Float64Array.of(Math.log(5)), { coefficient: 1 });
  expect(trimmedChi2).toBeCloseTo(4, 14);
  expect(rewards[0]).toBeCloseTo(-2, 14);
});

test('a mean that is not positive scales nothing; an overflow frees its step, and of the root all of them', () => {
  const low = discriminatorRewards('sqrt-chi2', Float64Array.of(-1, -2), { coefficient: 1 });
  expect(low.trimmedChi2).toBeLessThan(0);
  expect(low.rewards[0]).toBe(-Math.expm1(-1));
  const wild = Float64Array.of(800, 1, Number.NaN);
  expect([...discriminatorRewards('chi2', wild, { coefficient: 1 }).rewards]).toEqual([0, -Math.expm1(1), 0]);
  expect(discriminatorRewards('chi2', wild, { coefficient: 1 }).dropped).toBe(2);
  const all = discriminatorRewards('sqrt-chi2', Float64Array.of(800, 1), { coefficient: 1 });
  expect([...all.rewards].map(Math.abs)).toEqual([0, 0]);
});

test('the coefficient is stepped, or follows what was measured', () => {
  const stepped = steppedKlController(1, 10);
  expect(stepped.update(21, 1).klCoef).toBe(1.5);
  expect(stepped.update(4, 1).klCoef).toBe(0.5);
  expect(stepped.update(20, 1).klCoef).toBe(1);
  expect(stepped.update(21, 1).update(21, 1).klCoef).toBe(2.25);
  expect(proportionalKlController(1, 0.1).update(5, 1).klCoef).toBe(0.5);
  expect(proportionalKlController(1, 0.1).update(-5, 1).klCoef).toBe(0);
  expect(() => steppedKlController(1, 0)).toThrow(/`target`/);
});
