import type { Descent } from '../claims.js';
import {
  enumerableWorld,
  expectedObjective,
  givesScore,
  randomPolicy,
  type SequenceSpace,
  type Setting,
  sequenceLogprobs,
  type TablePolicy,
  tableOf,
} from '../enumerable/index.js';
import type { Objective } from '../objective.js';
import { expectedGradient } from '../occupancy/divergences.js';
import { type Random, seeded } from '../testing/random.js';
import type { CertifyOptions, Finding } from './certificate.js';
import { differenceGradient, relativeError } from './differences.js';
import { told as optionsTold, settingsOf } from './settings.js';

/** Central differences in float64 keep about nine digits of a gradient of size 1. */
const DIFFERENCED = 1e-6;

/** Sums over an enumerated world in another order. */
const ENUMERATED = 1e-9;

/** A gradient below this is none: a claim may be of nothing. */
const LEAST = 1e-12;

/** Rows of a step for each completion there is. */
const ROWS_EACH = 8;

/**
 * The expected gradient, by enumeration of all rows there can be and pulled back to the logits, against the gradient it
 * claims, scale included: that of the claimed functional if there is one, else that of the expected loss by differences, with what is
 * taken for constant held. A claim that leaves out some rows of the defaults is looked at beside the loss.
 */
export function estimatorCheck(
  objective: Objective,
  { seed, trials, vocabulary, length }: Required<CertifyOptions>,
): Finding {
  const unknown = unknownScores(objective);
  if (unknown) return unknown;
  const settings = settingsOf(objective);
  const claimed = settings.flatMap(({ options, claims: { descends } }) => (descends ? [{ options, descends }] : []));
  const worlds = Array.from({ length: Math.min(trials, 3) }, (_, trial) => seed + trial);
  const ofLoss = (): Finding => {
    const errors = worlds.map((drawn) => {
      const world = enumerableWorld({ seed: drawn, vocabulary, length });
      const policy = randomPolicy(world.space, seeded(drawn + 1000), 0.5);
      return againstDifferences({ objective, options: {}, world, seed: drawn }, policy);
    });
    return told('expected gradient is that of the expected loss', Math.max(...errors), DIFFERENCED);
  };
  if (claimed.length === 0) return ofLoss();

  const results = claimed.flatMap(({ options, descends }) =>
    worlds.map((drawn) => {
      const world = enumerableWorld({ seed: drawn, vocabulary, length: descends.oneToken ? 1 : length });
      const step = ROWS_EACH * world.space.sequences;
      const random = seeded(drawn + 1000);
      const policy = objective.separable
        ? randomPolicy(world.space, random, 0.5)
        : countedPolicy(world.space, step, random);
      const ownRows = descends.ownRows === true;
      const setting = { objective, options, world, seed: drawn, onPolicy: true, step, ownRows };
      return { options, error: againstClaim(setting, policy, descends) };
    }),
  );
  const worst = results.reduce((most, result) => (result.error > most.error ? result : most));
  const formulas = [...new Set(claimed.map(({ descends }) => descends.formula))].join(', of ');
  const text = `expected gradient on samples of the policy is that of ${formulas}${optionsTold(worst.options)}`;
  const found = told(text, worst.error, ENUMERATED);
  const byDefault = settings[0]?.claims.descends;
  if (!found.passed || (byDefault && !byDefault.oneToken && !byDefault.ownRows)) return found;
  // What is claimed leaves out some rows of the defaults.
  const rest = ofLoss();
  return rest.passed ? { ...found, text: `${found.text}; by default that of the expected loss` } : rest;
}

function told(text: string, error: number, bound: number): Finding {
  return { passed: error <= bound, text, error, bound };
}

/**
 * A policy that draws each completion in a whole number of `step` rows: a step of them is the whole population, and an
 * objective that sees a step at once has its expected gradient on it.
 */
export function countedPolicy(space: SequenceSpace, step: number, random: Random): TablePolicy {
  const counts = new Float64Array(space.sequences).fill(1);
  for (let left = step - space.sequences; left > 0; left--) counts[Math.floor(random() * counts.length)]! += 1;
  return tableOf(
    space,
    counts.map((count) => Math.log(count / step)),
  );
}

/** Nothing if the enumerable model has all scores that are read. */
export function unknownScores(objective: Objective): Finding | undefined {
  const { policy, reference, old = [] } = objective.needsOf();
  const unknown = [...policy, ...reference, ...old].filter((name) => !givesScore(name));
  if (unknown.length === 0) return undefined;
  return { passed: false, text: `the enumerable model gives no score ${[...new Set(unknown)].join(', ')}` };
}

function againstDifferences(setting: Setting, policy: TablePolicy): number {
  const expected = expectedObjective(setting);
  const difference = differenceGradient((moved) => expected.loss(moved, policy), policy);
  return relativeError(expected.gradient(policy), difference, Math.abs(expected.loss(policy)) * 1e-3);
}

function againstClaim(setting: Setting, policy: TablePolicy, claim: Descent): number {
  return relativeError(
    expectedObjective(setting).gradient(policy),
    functionalGradient(claim, setting.world, policy),
    LEAST,
  );
}

/** The gradient at the logits of a functional of the policy: Σ_y π(y) variation(y) ∇log π(y). */
export function functionalGradient({ variation }: Descent, world: Setting['world'], policy: TablePolicy): Float64Array {
  return expectedGradient(policy, variation(world, sequenceLogprobs(policy)));
}
