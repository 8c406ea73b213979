import type { Optimum } from '../claims.js';
import {
  type EnumerableWorld,
  type ExpectedObjective,
  enumerableWorld,
  expectedObjective,
  isOnPolicy,
  largest,
  minimize,
  minimizeKinked,
  normalized,
  randomPolicy,
  type Solution,
  sequenceLogprobs,
  solveStationary,
} from '../enumerable/index.js';
import type { Objective } from '../objective.js';
import { seeded } from '../testing/random.js';
import type { CertifyOptions, Finding } from './certificate.js';
import { unknownScores } from './estimator.js';

/** Largest difference of log-probabilities from the closed form: a gradient of 1e-13 over curvatures down to 1e-6. */
const OPTIMUM = 1e-6;

/** A gradient that is zero for all purposes, and one that has come down far enough from where it began. */
const ZERO = 1e-8;
const FALLEN = 1e-2;

/** Where a loss has a kink, gradients on its sides cancel to this, relative to where it began. */
const KINKED = 1e-5;

/**
 * Drives an objective over all rows of a world to where its gradient is zero. With a claimed optimum, that is where the
 * policy has to be; without one, the point has to be stationary.
 */
export function fixedPointCheck(objective: Objective, { seed, vocabulary, length }: Required<CertifyOptions>): Finding {
  const unknown = unknownScores(objective);
  if (unknown) return unknown;
  const optimum = objective.claims?.(objective.defaults)?.optimum;
  const world = enumerableWorld({ seed, vocabulary, length });
  const setting = { objective, world, seed, labelNoise: optimum?.labelNoise ?? 0 };
  const expected = expectedObjective(setting);
  const frozen = (objective.detached ?? []).length > 0 || isOnPolicy(setting);
  return optimum ? atOptimum(expected, world, optimum, seed, frozen) : stationary(expected, world, seed, frozen);
}

function solve(
  expected: ExpectedObjective,
  { space }: EnumerableWorld,
  start: Float64Array,
  frozen: boolean,
): Solution {
  const policy = (logits: Float64Array) => ({ space, logits });
  const gradient = (logits: Float64Array) => expected.gradient(policy(logits));
  if (frozen) return solveStationary(gradient, start);
  return minimize((logits) => expected.loss(policy(logits)), gradient, start);
}

function atOptimum(
  expected: ExpectedObjective,
  world: EnumerableWorld,
  optimum: Optimum,
  seed: number,
  frozen: boolean,
): Finding {
  const { space, referencePolicy } = world;
  const closed = normalized(optimum.logprobs(world));
  const starts = [referencePolicy, randomPolicy(space, seeded(seed + 2000), 0.5)];
  const errors = starts.map(({ logits }) => {
    const { point } = solve(expected, world, logits, frozen);
    const reached = sequenceLogprobs({ space, logits: point });
    return largest(reached.map((logprob, i) => logprob - closed[i]!));
  });
  const error = Math.max(...errors);
  const text = `from ${starts.length} starts to the optimum ${optimum.formula}, of log-probabilities`;
  return { passed: error <= OPTIMUM, text, error, bound: OPTIMUM };
}

function stationary(expected: ExpectedObjective, world: EnumerableWorld, seed: number, frozen: boolean): Finding {
  const { space } = world;
  const start = randomPolicy(space, seeded(seed + 2000), 0.5);
  const first = largest(expected.gradient(start));
  const { point, residual } = solve(expected, world, start.logits, frozen);
  const no = 'no closed form';
  if (residual <= Math.max(ZERO, 1e-6 * first)) {
    return { passed: true, text: `${no}: comes to rest, gradient`, error: residual, bound: ZERO };
  }
  if (residual <= FALLEN * first) {
    const text = `${no}: nears the edge of the simplex, where its gradient dies out, gradient`;
    return { passed: true, text, error: residual, bound: FALLEN * first };
  }
  if (frozen) return { passed: false, text: `${no}: does not come to rest, gradient`, error: residual, bound: ZERO };
  const kinked = minimizeKinked(
    (logits) => expected.loss({ space, logits }),
    (logits) => expected.gradient({ space, logits }),
    point,
    { tolerance: (KINKED * first) / 2 },
  );
  const text = `${no}: at rest in a kink, shortest combination of the gradients around it`;
  return { passed: kinked.residual <= KINKED * first, text, error: kinked.residual, bound: KINKED * first };
}
