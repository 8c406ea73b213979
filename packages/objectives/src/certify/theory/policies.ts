import { pearsonChi2, reverseKl } from '../../divergences/index.js';
import { type EnumerableWorld, frontier, normal, normalized, spacedBetween } from '../../enumerable/index.js';
import { seeded } from '../../testing/random.js';

/** Thirty policies of a world: optima of KL and of chi-squared at ten coefficients each, and ten at random. */
export function variedPolicies({ reference }: EnumerableWorld, proxy: Float64Array, seed: number): Float64Array[] {
  const random = seeded(seed + 4000);
  const optima = [reverseKl, pearsonChi2].flatMap((divergence) =>
    frontier({ reference, rewards: proxy, divergence }, spacedBetween(0.05, 20, 10)).map(({ logprobs }) => logprobs),
  );
  const drawn = Array.from({ length: 10 }, () => {
    return normalized(reference.map((logprob) => logprob + 2 * normal(random)));
  });
  return [...optima, ...drawn];
}
