import { enumerableWorld, expectedObjective, randomPolicy } from '../enumerable/index.js';
import type { Objective } from '../objective.js';
import { seeded } from '../testing/random.js';
import type { CertifyOptions, Finding } from './certificate.js';
import { relativeError } from './differences.js';

const EXACT = 1e-9;

/** A number added to all rewards of the prompt leaves the expected gradient where it was. */
export function rewardShiftCheck(
  objective: Objective,
  { seed, vocabulary, length }: Required<CertifyOptions>,
): Finding {
  const world = enumerableWorld({ seed, vocabulary, length });
  const policy = randomPolicy(world.space, seeded(seed + 1000), 0.5);
  const gradient = (shift: number) =>
    expectedObjective({
      objective,
      world: { ...world, rewards: world.rewards.map((reward) => reward + shift) },
      seed,
    }).gradient(policy);
  const error = relativeError(gradient(8), gradient(0));
  return { passed: error <= EXACT, text: 'a reward shift of the prompt changes nothing', error, bound: EXACT };
}
