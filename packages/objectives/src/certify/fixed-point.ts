import type { Optimum } from '../claims.js';
import {
  type EnumerableWorld,
  type ExpectedObjective,
  enumerableWorld,
  expectedObjective,
  flow,
  isOnPolicy,
  largest,
  massGradient,
  minimize,
  minimizeKinked,
  normalized,
  randomPolicy,
  type Solution,
  sequenceLogprobs,
  slide,
  solveStationary,
  tableOf,
} from '../enumerable/index.js';
import type { Objective } from '../objective.js';
import { seeded } from '../testing/random.js';
import type { CertifyOptions, Finding } from './certificate.js';
import { unknownScores } from './estimator.js';
import { fitsRewards, rewardsAtRest } from './rewards-at-rest.js';
import { type ClaimedSetting, settingsOf, told } from './settings.js';

/** Largest difference of log-probabilities from the closed form: a gradient of 1e-13 over curvatures down to 1e-6. */
const OPTIMUM = 1e-6;

/** A gradient that is zero for all purposes, and one that has come down far enough from where it began. */
const ZERO = 1e-8;
const FALLEN = 1e-2;

/** Where a loss has a kink, gradients on its sides cancel to this, relative to where it began. */
const KINKED = 1e-5;

/** The same where the gradient jumps, known only through a few dozen points around: 0.007 was seen. */
const SLID = 2e-2;

/** Where there is nothing left to follow. */
const REST = 1e-13;

/**
 * Drives an objective over all rows of a world to where its gradient is zero. With a claimed optimum, that is where the
 * policy has to be; without one, the point has to be stationary. A reward model has to come to the true rewards.
 */
export function fixedPointCheck(objective: Objective, { seed, vocabulary, length }: Required<CertifyOptions>): Finding {
  const unknown = unknownScores(objective);
  if (unknown) return unknown;
  const world = enumerableWorld({ seed, vocabulary, length });
  if (fitsRewards(objective)) return rewardsAtRest(objective, world);
  const settings = settingsOf(objective);
  const driven = (options: ClaimedSetting['options'], labelNoise = 0): Driven => {
    const setting = { objective, options, world, seed, labelNoise };
    const held = isOnPolicy(setting) ? 'sampling' : (objective.detached ?? []).length > 0 ? 'parts' : 'nothing';
    return { expected: expectedObjective(setting), world, seed, held };
  };
  const atOptima = settings.flatMap(({ options, claims: { optimum } }) =>
    optimum ? [{ ...atOptimum(driven(options, optimum.labelNoise), optimum), options, formula: optimum.formula }] : [],
  );
  const [first] = atOptima;
  if (!first) return stationary(driven({}));
  const worst = atOptima.reduce((most, finding) => (finding.error > most.error ? finding : most));
  const formulas = [...new Set(atOptima.map(({ formula }) => formula))].join('; ');
  const count = `${atOptima.length} setting${atOptima.length > 1 ? 's' : ''} x 2 starts`;
  const text = `log-probabilities reach ${formulas}; ${count}${told(worst.options)}`;
  const found = { text, error: worst.error, bound: OPTIMUM, passed: worst.error <= OPTIMUM };
  if (settings[0]?.claims.optimum) return found;
  const rest = stationary(driven({}));
  const both = `${text}; by default ${rest.text}`;
  return { ...found, passed: found.passed && rest.passed, text: both };
}

/** An objective on a world, ready to be driven. */
interface Driven {
  readonly expected: ExpectedObjective;
  readonly world: EnumerableWorld;
  readonly seed: number;
  /** What keeps its field from being a gradient: parts that are stopped, or rows drawn from the policy itself. */
  readonly held: 'nothing' | 'parts' | 'sampling';
}

function solve({ expected, world: { space }, held }: Driven, start: Float64Array): Solution {
  const policy = (logits: Float64Array) => ({ space, logits });
  const field = (logits: Float64Array) => expected.gradient(policy(logits));
  const lowest = (from: Float64Array, frozen?: Float64Array) => {
    const at = frozen && policy(frozen);
    return minimize(
      (logits) => expected.loss(policy(logits), at),
      (logits) => expected.gradient(policy(logits), at),
      from,
    );
  };
  if (held === 'nothing') return lowest(start);
  if (held === 'sampling') return solveStationary(field, flow(field, start));
  // What is stopped is read anew at each lowest point, until the field itself is zero.
  let point = start;
  for (let round = 0; round < 20 && largest(field(point)) > REST; round++) point = lowest(point, point).point;
  return solveStationary(field, point);
}

/** From two starts, the largest difference of log-probabilities from the closed form. */
function atOptimum(driven: Driven, optimum: Optimum): { readonly error: number } {
  const { space, referencePolicy } = driven.world;
  const closed = normalized(optimum.logprobs(driven.world));
  const starts = [referencePolicy, randomPolicy(space, seeded(driven.seed + 2000), 0.5)];
  const errors = starts.map(({ logits }) => {
    const { point } = solve(driven, logits);
    const reached = sequenceLogprobs({ space, logits: point });
    return largest(reached.map((logprob, i) => logprob - closed[i]!));
  });
  return { error: Math.max(...errors) };
}

function stationary(driven: Driven): Finding {
  const { expected, world, seed, held } = driven;
  const { space } = world;
  const start = randomPolicy(space, seeded(seed + 2000), 0.5);
  const first = largest(expected.gradient(start));
  if (first === 0) return { passed: false, text: 'no gradient at all on this world' };
  const { point, residual } = solve(driven, start.logits);
  const no = 'no closed form:';
  const edge = sequenceLogprobs({ space, logits: point }).some((logprob) => logprob < -20);
  if (residual <= Math.max(ZERO, 1e-6 * first)) {
    const where = edge ? 'at rest with some completions below e^-20' : 'at rest';
    return { passed: true, text: `${no} ${where}, gradient`, error: residual, bound: ZERO };
  }
  if (residual <= FALLEN * first && edge) {
    const text = `${no} nears the edge of the simplex, where its gradient dies out, gradient`;
    return { passed: true, text, error: residual, bound: FALLEN * first };
  }
  if (held !== 'nothing') {
    const field = (logits: Float64Array) => expected.gradient({ space, logits });
    const { residual: error } = slide(field, flow(field, start.logits));
    const text = `${no} at rest where its gradient jumps, shortest combination of what it is there`;
    return { passed: error <= SLID * first, text, error, bound: SLID * first };
  }
  // In log-masses of completions these losses are convex.
  const kinked = minimizeKinked(
    (masses) => expected.loss(tableOf(space, masses)),
    (masses) => massGradient(space, masses, expected.gradient(tableOf(space, masses))),
    sequenceLogprobs({ space, logits: point }),
    { tolerance: (KINKED * first) / 2 },
  );
  const text = `${no} at rest in a kink, shortest combination of gradients`;
  return { passed: kinked.residual <= KINKED * first, text, error: kinked.residual, bound: KINKED * first };
}
