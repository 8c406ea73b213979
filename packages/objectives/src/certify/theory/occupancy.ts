import { type Descent, divergenceDescent, negativeReward, sumOfDescents } from '../../claims.js';
import { forwardKl, pearsonChi2, reverseKl, totalVariation } from '../../divergences/index.js';
import {
  type EnumerableWorld,
  expectedObjective,
  normal,
  randomPolicy,
  sequenceLogprobs,
  standardized,
} from '../../enumerable/index.js';
import type { Objective } from '../../objective.js';
import { occupancy } from '../../objectives/occupancy.js';
import { reinforce } from '../../objectives/reinforce.js';
import {
  correlationBound,
  expectedPathwise,
  type OccupancyDivergence,
  occupancyDivergences,
  occupancyRewards,
} from '../../occupancy/index.js';
import { seeded } from '../../testing/random.js';
import { relativeError } from '../differences.js';
import { countedPolicy, functionalGradient } from '../estimator.js';
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

const named = { kl: reverseKl, chi2: pearsonChi2, tv: totalVariation } as const;

/** Errors of the expected gradients of `occupancy`, or of what stands in its place, weight included. */
export function faithfulErrors(objective: Objective, seeds = theorySeeds): number[] {
  const weight = 0.3;
  return seeds.flatMap((seed) => {
    const world = theoryWorld(seed);
    const policy = randomPolicy(world.space, seeded(seed + 7000), 0.5);
    return (Object.keys(named) as (keyof typeof named)[]).map((divergence) => {
      const options = { divergence, weight };
      const claimed = sumOfDescents([{ weight, of: divergenceDescent(named[divergence]) }]);
      return relativeError(
        expectedObjective({ objective, options, world, onPolicy: true }).gradient(policy),
        functionalGradient(claimed, world, policy),
      );
    });
  });
}

export const faithfulOccupancy = theoryCheck(
  'the importance-corrected occupancy loss descends what it names, weight included',
  () => {
    const errors = faithfulErrors(occupancy as unknown as Objective);
    return { paper, ...withinIdentity(errors, `${errors.length} gradients`) };
  },
);

/**
 * Errors of `occupancyRewards`, or of what stands in its place: REINFORCE on its rewards against the gradient of
 * -E reward + coefficient D, and the estimate of D against D. Each completion is there as often as the policy draws it.
 */
export function rewardErrors(rewardsOf: typeof occupancyRewards, seeds = theorySeeds): number[] {
  const coefficient = 0.7;
  return seeds.flatMap((seed) => {
    const world = theoryWorld(seed);
    const { space, reference, rewards } = world;
    const policy = countedPolicy(space, 10 * space.sequences, seeded(seed + 7000));
    const logprobs = sequenceLogprobs(policy);
    const rows = [...logprobs].flatMap((logprob, i) =>
      new Array<number>(Math.round(10 * space.sequences * Math.exp(logprob))).fill(i),
    );
    const of = (values: Float64Array) => Float64Array.from(rows, (row) => values[row]!);
    const logratios = logprobs.map((logprob, i) => logprob - reference[i]!);
    return occupancyDivergences.flatMap((divergence) => {
      const paid = rewardsOf(of(rewards), of(logratios), { divergence, coefficient });
      const perCompletion = new Float64Array(space.sequences);
      rows.forEach((row, at) => {
        perCompletion[row] = paid.rewards[at]!;
      });
      const objective = reinforce as unknown as Objective;
      const value = divergenceValue(divergence, logprobs, reference);
      const claimed = sumOfDescents([
        { weight: 1, of: negativeReward },
        { weight: coefficient, of: rootedDescent(divergence) },
      ]);
      return [
        relativeError(
          expectedObjective({ objective, world: { ...world, rewards: perCompletion }, onPolicy: true }).gradient(
            policy,
          ),
          functionalGradient(claimed, world, policy),
        ),
        Math.abs(paid.divergence - value) / value,
      ];
    });
  });
}

/** By the divergences themselves. */
function divergenceValue(divergence: OccupancyDivergence, policy: Float64Array, reference: Float64Array): number {
  if (divergence === 'sqrt-chi2') return Math.sqrt(pearsonChi2.exact(policy, reference).value);
  return named[divergence].exact(policy, reference).value;
}

function rootedDescent(divergence: OccupancyDivergence): Descent {
  if (divergence !== 'sqrt-chi2') return divergenceDescent(named[divergence]);
  return {
    formula: 'sqrt χ²(π ‖ π_ref)',
    variation({ reference }, logprobs) {
      const root = divergenceValue(divergence, logprobs, reference);
      return logprobs.map((logprob, i) => pearsonChi2.derivative(logprob - reference[i]!) / (2 * root));
    },
  };
}

export const occupancyInRewards = theoryCheck(
  'occupancy divergences in the rewards: REINFORCE descends -E reward + coefficient D',
  () => {
    const errors = rewardErrors(occupancyRewards);
    return { paper, ...withinIdentity(errors, `${errors.length} gradients and values`) };
  },
);
