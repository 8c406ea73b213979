import {
  alphaDivergence,
  type Divergence,
  forwardKl,
  halfChi2PlusKl,
  jensenShannon,
  neymanChi2,
  pearsonChi2,
  reverseKl,
  squaredHellinger,
} from '../../divergences/index.js';
import { expectation, firstOrderError, optimalPolicy, optimumAtReward, spacedBetween } from '../../enumerable/index.js';
import { theoryCheck, theorySeeds, theoryWorld, withinIdentity } from './check.js';

/** Seven divergences no two of which are multiples of each other: alpha 1/2 is twice squared Hellinger. */
export const ranked: readonly Divergence[] = [
  reverseKl,
  forwardKl,
  jensenShannon,
  alphaDivergence(0.5),
  pearsonChi2,
  halfChi2PlusKl,
  neymanChi2,
];

/** Errors of the first-order conditions at `optimalPolicy`, or at what stands in its place; rewards are of size 1. */
export function firstOrderErrors(optimum: typeof optimalPolicy, seeds = theorySeeds): number[] {
  const betas = spacedBetween(0.02, 50, 10);
  return seeds.flatMap((seed) => {
    const { reference, rewards } = theoryWorld(seed);
    return [...ranked, squaredHellinger].flatMap((divergence) =>
      betas.map((beta) => {
        const problem = { reference, rewards, divergence, beta };
        return firstOrderError(problem, optimum(problem));
      }),
    );
  });
}

export const firstOrder = theoryCheck('first-order conditions of every regularised optimum', () => {
  const errors = firstOrderErrors(optimalPolicy);
  return { paper: 'Wang et al. 2023, arXiv:2309.16240', ...withinIdentity(errors, `${errors.length} optima`) };
});

export const bestOnItsOwn = theoryCheck('each f-optimum is best on its own divergence at matched reward', () => {
  const cases = theorySeeds.flatMap((seed) => {
    const { reference, rewards } = theoryWorld(seed);
    const target = 0.5 * expectation(reference, rewards) + 0.5 * Math.max(...rewards);
    const optima = ranked.map((divergence) => optimumAtReward({ reference, rewards, divergence }, target).logprobs);
    return ranked.map((divergence, own) => {
      const values = optima.map((optimum) => divergence.exact(optimum, reference).value);
      return values.every((value, other) => other === own || values[own]! < value);
    });
  });
  const held = cases.filter(Boolean).length;
  return {
    passed: held === cases.length,
    found: `${held} of ${cases.length} (${ranked.length} divergences x ${theorySeeds.length} seeds, reward halfway to the best)`,
  };
});
