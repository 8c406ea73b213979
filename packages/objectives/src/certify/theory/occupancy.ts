import { divergenceDescent, sumOfDescents } from '../../claims.js';
import { forwardKl, pearsonChi2, reverseKl, totalVariation } from '../../divergences/index.js';
import { type EnumerableWorld, expectedObjective, normal, randomPolicy, standardized } from '../../enumerable/index.js';
import { occupancy } from '../../objectives/occupancy.js';
import { correlationBound, expectedPathwise } from '../../occupancy/index.js';
import { seeded } from '../../testing/random.js';
import { factorBetween, relativeError } from '../differences.js';
import { functionalGradient } from '../estimator.js';
import { theoryCheck, theorySeeds, theoryWorld, withinIdentity } from './check.js';
import { variedPolicies } from './policies.js';

const paper = 'Laidlaw et al. 2024, arXiv:2403.03185';

/** True reward plus noise of this size, in standard deviations. */
const NOISE = 0.6;

export const correlationBoundHolds = theoryCheck('the correlation bound on the true gain of a proxy', () => {
  const cases = theorySeeds.flatMap((seed) => {
    const world = theoryWorld(seed);
    const proxy = proxyOf(world, seed);
    return variedPolicies(world, proxy, seed).map((policy) =>
      correlationBound({ policy, reference: world.reference, trueRewards: world.rewards, proxyRewards: proxy }),
    );
  });
  const held = cases.filter(({ bound, trueGain }) => trueGain >= bound - 1e-9 * Math.max(1, Math.abs(bound))).length;
  const mean = (value: (one: (typeof cases)[number]) => number) =>
    cases.reduce((sum, one) => sum + value(one), 0) / cases.length;
  const exact = `mean exact gain ${mean(({ trueGain }) => trueGain).toFixed(3)}, mean bound ${mean(({ bound }) => bound).toFixed(3)}`;
  const tightest = Math.min(...cases.map(({ bound, trueGain }) => trueGain - bound));
  return {
    paper,
    passed: held === cases.length,
    found: `${held} of ${cases.length} policies; ${exact}, closest ${tightest.toFixed(4)} apart`,
  };
});

/** True rewards plus noise, both standardised under the reference: a correlation of about 0.86. */
function proxyOf({ reference, rewards }: EnumerableWorld, seed: number): Float64Array {
  const random = seeded(seed + 6000);
  const error = standardized(
    rewards.map(() => normal(random)),
    reference,
  );
  return standardized(rewards, reference).map((reward, i) => reward + NOISE * error[i]!);
}

export const publishedOccupancy = theoryCheck(
  'the published occupancy loss descends chi2(π‖ref)/2 + KL(ref‖π), its KL form KL(ref‖π)',
  () => {
    const halfChi2AndKl = sumOfDescents([
      { weight: 0.5, of: divergenceDescent(pearsonChi2) },
      { weight: 1, of: divergenceDescent(forwardKl) },
    ]);
    const errors = theorySeeds.flatMap((seed) => {
      const world = theoryWorld(seed);
      const policy = randomPolicy(world.space, seeded(seed + 7000));
      const { chi2Gradient, klGradient } = expectedPathwise(policy, world.referencePolicy);
      return [
        relativeError(chi2Gradient, functionalGradient(halfChi2AndKl, world, policy)),
        relativeError(klGradient, functionalGradient(divergenceDescent(forwardKl), world, policy)),
      ];
    });
    return { paper, ...withinIdentity(errors, `${errors.length} gradients`) };
  },
);

export const faithfulOccupancy = theoryCheck('the importance-corrected occupancy loss descends what it names', () => {
  const named = { kl: reverseKl, chi2: pearsonChi2, tv: totalVariation } as const;
  const errors = theorySeeds.flatMap((seed) => {
    const world = theoryWorld(seed);
    const policy = randomPolicy(world.space, seeded(seed + 7000), 0.5);
    return (Object.keys(named) as (keyof typeof named)[]).map((divergence) => {
      const expected = expectedObjective({ objective: occupancy, options: { divergence }, world, onPolicy: true });
      const actual = expected.gradient(policy);
      const claimed = functionalGradient(divergenceDescent(named[divergence]), world, policy);
      const factor = factorBetween(actual, claimed);
      return factor > 0
        ? relativeError(
            actual,
            claimed.map((slope) => factor * slope),
          )
        : Number.POSITIVE_INFINITY;
    });
  });
  return { paper, ...withinIdentity(errors, `${errors.length} gradients`) };
});
