import { describe, expect, test } from 'vitest';
import type { Objective } from '../objective.js';
import { dpo } from '../objectives/dpo.js';
import { sft } from '../objectives/sft.js';
import { seeded } from '../testing/random.js';
import {
  enumerableWorld,
  expectation,
  expectedObjective,
  populationOf,
  randomPolicy,
  sequenceLogprobs,
  tableOf,
} from './index.js';

const world = enumerableWorld({ seed: 2, vocabulary: 3, length: 2 });

describe('all units of a kind', () => {
  test.each([
    ['single', 7],
    ['pairs', 49],
    ['unpaired', 14],
    ['groups', 84],
  ] as const)('%s: %i, their probabilities sum to 1', (kind, units) => {
    const { weights } = populationOf(kind, world);
    expect(weights).toHaveLength(units);
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 14);
  });

  test('pairs: preferred with the probability of Bradley and Terry', () => {
    const { rows, weights } = populationOf('pairs', world);
    const weight = (chosen: number, rejected: number) =>
      weights.find((_, unit) => rows[2 * unit] === chosen && rows[2 * unit + 1] === rejected)!;
    const odds = Math.log(weight(1, 4) / weight(4, 1));
    expect(odds).toBeCloseTo(world.rewards[1]! - world.rewards[4]!, 12);
  });

  test('label noise turns that share round', () => {
    const flipped = populationOf('pairs', world, { labelNoise: 1 }).weights;
    const { rows, weights } = populationOf('pairs', world);
    const at = (chosen: number, rejected: number) =>
      weights.findIndex((_, unit) => rows[2 * unit] === chosen && rows[2 * unit + 1] === rejected);
    expect(flipped[at(1, 4)]).toBeCloseTo(weights[at(4, 1)]!, 14);
  });

  test('ranked groups: three draws in every order', () => {
    const { rows, weights, ranks } = populationOf('groups', world, { rankedGroups: true });
    expect(weights).toHaveLength(7 ** 3);
    expect([...ranks!.slice(0, 6)]).toEqual([0, 1, 2, 0, 1, 2]);
    const weight = (...wanted: number[]) =>
      weights.find((_, unit) => wanted.every((row, at) => rows[3 * unit + at] === row))!;
    // The last two of three: as two alone would be ranked.
    expect(Math.log(weight(2, 1, 4) / weight(2, 4, 1))).toBeCloseTo(world.rewards[1]! - world.rewards[4]!, 12);
  });
});

describe('an expected objective', () => {
  test('the likelihood: cross-entropy with the rows, by hand', () => {
    const policy = randomPolicy(world.space, seeded(1));
    const objective = sft as unknown as Objective;
    const { loss } = expectedObjective({ objective, options: { reduction: 'sums' }, world });
    expect(loss(policy)).toBeCloseTo(-expectation(world.sampling, sequenceLogprobs(policy)), 13);
  });

  test('DPO has no gradient at its optimum, and log 2 at the reference', () => {
    const objective = dpo as unknown as Objective;
    const expected = expectedObjective({ objective, options: { beta: 0.5 }, world });
    expect(expected.loss(world.referencePolicy)).toBeCloseTo(Math.LN2, 14);
    const optimum = world.rewards.map((reward, i) => world.reference[i]! + reward / 0.5);
    const policy = tableOf(world.space, optimum);
    for (const slope of expected.gradient(policy)) expect(Math.abs(slope)).toBeLessThan(1e-15);
  });
});
