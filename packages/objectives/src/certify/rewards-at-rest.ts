import { type EnumerableWorld, largest } from '../enumerable/index.js';
import { populationOf } from '../enumerable/population.js';
import type { Objective } from '../objective.js';
import type { Finding } from './certificate.js';

/** Largest difference of rewards from the true ones. */
const RECOVERED = 1e-6;
const STEPS = 20_000;

/** Whether an objective trains values alone, from pairs: a reward model. */
export function fitsRewards({ rows, needs }: Objective): boolean {
  return rows === 'pairs' && needs.policy.every((name) => name === 'values');
}

/**
 * Drives one reward a completion over all preferences of a world to where the gradient is zero: there they have to be the
 * true ones, up to a constant.
 */
export function rewardsAtRest(objective: Objective, world: EnumerableWorld): Finding {
  const { rows, weights } = populationOf('pairs', world);
  const mass = new Float64Array(world.rewards.length);
  rows.forEach((completion, row) => {
    mass[completion]! += weights[row >> 1]!;
  });
  const gradientAt = (rewards: Float64Array) => {
    const { cotangents } = objective.evaluate({
      rows: rows.length,
      tokens: 1,
      completionMask: new Uint8Array(rows.length).fill(1),
      policy: { values: Float64Array.from(rows, (completion) => rewards[completion]!) },
    });
    const gradient = new Float64Array(rewards.length);
    rows.forEach((completion, row) => {
      gradient[completion]! += weights[row >> 1]! * weights.length * (cotangents.values?.[row] ?? 0);
    });
    return gradient;
  };
  const rewards = new Float64Array(world.rewards.length);
  let left = 1;
  for (let step = 0; step < STEPS && left > 1e-13; step++) {
    const gradient = gradientAt(rewards);
    left = largest(gradient);
    gradient.forEach((slope, completion) => {
      rewards[completion]! -= mass[completion]! > 0 ? (2 * slope) / mass[completion]! : 0;
    });
  }
  const centred = (values: Float64Array) => {
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return values.map((value) => value - mean);
  };
  const truth = centred(world.rewards);
  const error = largest(centred(rewards).map((reward, i) => reward - truth[i]!));
  const text = 'rewards at rest are the true ones, up to a constant';
  return { passed: error <= RECOVERED, text, error, bound: RECOVERED };
}
