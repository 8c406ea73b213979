import type { Descent } from '../claims.js';
import {
  enumerableWorld,
  expectedObjective,
  givesScore,
  randomPolicy,
  type Setting,
  sequenceLogprobs,
  type TablePolicy,
} from '../enumerable/index.js';
import type { Objective } from '../objective.js';
import { expectedGradient } from '../occupancy/divergences.js';
import { seeded } from '../testing/random.js';
import type { CertifyOptions, Finding } from './certificate.js';
import { differenceGradient, factorBetween, relativeError } from './differences.js';
import { settingsOf, told } from './settings.js';

/** Central differences in float64 keep about nine digits of a gradient of size 1. */
const DIFFERENCED = 1e-6;

/** Sums over an enumerated world in another order. */
const ENUMERATED = 1e-9;

/**
 * The expected gradient, by enumeration of all rows there can be and pulled back to the logits, against the gradient it
 * claims: that of the claimed functional if there is one, else that of the expected loss by differences, with what is
 * taken for constant held.
 */
export function estimatorCheck(
  objective: Objective,
  { seed, trials, vocabulary, length }: Required<CertifyOptions>,
): Finding {
  const unknown = unknownScores(objective);
  if (unknown) return unknown;
  const settings = settingsOf(objective);
  const claimed = settings.filter(({ claims }) => claims.descends);
  const looked = claimed.length > 0 ? claimed : settings.slice(0, 1);
  const results = looked.flatMap(({ options, claims }) =>
    Array.from({ length: Math.min(trials, 3) }, (_, trial) => {
      const world = enumerableWorld({ seed: seed + trial, vocabulary, length });
      const policy = randomPolicy(world.space, seeded(seed + trial + 1000), 0.5);
      const { descends } = claims;
      const setting: Setting = { objective, options, world, seed: seed + trial, ...(descends && { onPolicy: true }) };
      return {
        options,
        error: descends ? againstClaim(setting, policy, descends) : againstDifferences(setting, policy),
      };
    }),
  );
  const worst = results.reduce((most, result) => (result.error > most.error ? result : most));
  const bound = claimed.length > 0 ? ENUMERATED : DIFFERENCED;
  const formulas = [...new Set(claimed.flatMap(({ claims }) => claims.descends?.formula ?? []))];
  const text =
    formulas.length > 0
      ? `expected gradient on samples of the policy is that of ${formulas.join(', of ')}`
      : 'expected gradient is that of the expected loss';
  return { passed: worst.error <= bound, text: `${text}${told(worst.options)}`, error: worst.error, bound };
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
  const { world } = setting;
  const actual = expectedObjective(setting).gradient(policy);
  const claimed = functionalGradient(claim, world, policy);
  const factor = factorBetween(actual, claimed);
  if (!(factor > 0)) return Number.POSITIVE_INFINITY;
  return relativeError(
    actual,
    claimed.map((value) => factor * value),
  );
}

/** The gradient at the logits of a functional of the policy: Σ_y π(y) variation(y) ∇log π(y). */
export function functionalGradient({ variation }: Descent, world: Setting['world'], policy: TablePolicy): Float64Array {
  return expectedGradient(policy, variation(world, sequenceLogprobs(policy)));
}
