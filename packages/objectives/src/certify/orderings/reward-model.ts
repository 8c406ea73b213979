import { reverseKl } from '../../divergences/index.js';
import {
  type EnumerableWorld,
  enumerableWorld,
  expectation,
  frontier,
  minimize,
  optimalPolicy,
  rootBetween,
  sequenceLogprobs,
  spacedBetween,
  standardized,
} from '../../enumerable/index.js';
import { sigmoid, softplus } from '../../numerics.js';
import type { Objective } from '../../objective.js';
import { dpo } from '../../objectives/dpo.js';
import { seeded } from '../../testing/random.js';
import { count, mean, type NamedOrdering, ordering, orderingSeeds } from './ordering.js';
import { descend, samplePairs } from './runs.js';

const SIZES = [20, 80, 320, 1280] as const;

/**
 * A reward model: a number per completion, by maximum likelihood of the comparisons under Bradley and Terry with a standard
 * normal prior.
 */
function fittedRewards({ rewards }: EnumerableWorld, pairs: Int32Array): Float64Array {
  const counts = new Map<number, number>();
  for (let at = 0; at < pairs.length; at += 2) {
    const key = pairs[at]! * rewards.length + pairs[at + 1]!;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const seen = [...counts].map(([key, times]) => ({
    a: Math.floor(key / rewards.length),
    b: key % rewards.length,
    times,
  }));
  const loss = (model: Float64Array) =>
    seen.reduce((sum, { a, b, times }) => sum + times * softplus(model[b]! - model[a]!), 0) +
    model.reduce((sum, value) => sum + (value * value) / 2, 0);
  const gradient = (model: Float64Array) => {
    const slopes = Float64Array.from(model);
    for (const { a, b, times } of seen) {
      const slope = times * sigmoid(model[b]! - model[a]!);
      slopes[a]! -= slope;
      slopes[b]! += slope;
    }
    return slopes;
  };
  return minimize(loss, gradient, new Float64Array(rewards.length), { tolerance: 1e-9 }).point;
}

export const moreDataHigherPeak: NamedOrdering = ordering(
  {
    name: 'more reward-model data, higher peak of the gold reward',
    paper: 'Gao et al. 2022, arXiv:2210.10760',
    regime:
      `reward models of ${SIZES.join(', ')} comparisons of reference completions; exact KL frontier at 60 coefficients; gold ` +
      `reward in standard deviations under the reference; vocabulary 4, length 3; ${orderingSeeds.length} seeds`,
  },
  () => {
    const peaks = orderingSeeds.map((seed) => {
      const world = enumerableWorld({ seed, vocabulary: 4, length: 3 });
      const gold = standardized(world.rewards, world.reference);
      const pairs = samplePairs(world, SIZES.at(-1)!, seeded(seed + 9000));
      return SIZES.map((size) => {
        const rewards = fittedRewards(world, pairs.slice(0, 2 * size));
        const problem = { reference: world.reference, rewards, divergence: reverseKl };
        const points = frontier(problem, spacedBetween(0.01, 100, 60));
        return Math.max(...points.map(({ logprobs }) => expectation(logprobs, gold)));
      });
    });
    const means = SIZES.map((_, at) => mean(peaks.map((one) => one[at]!)));
    const higher = count(peaks, (one) => one.at(-1)! > one[0]!);
    return {
      reproduced: means.every((peak, at) => at === 0 || peak > means[at - 1]!) && higher > 0.75 * peaks.length,
      found: `mean peak ${means.map((peak) => peak.toFixed(3)).join(', ')}; most data above least in ${higher} of ${peaks.length} seeds`,
    };
  },
);

const PAIRS = 512;
const STEPS = 100;

export const dpoAbovePpo: NamedOrdering = ordering(
  {
    name: 'DPO above PPO with the true reward at equal KL',
    paper: 'Rafailov et al. 2023, arXiv:2305.18290',
    regime:
      `DPO: ${PAIRS} pairs of the reference, ${STEPS} steps of gradient descent at 30, beta 0.1; PPO: the optimum of the true ` +
      `reward at the same KL(π ‖ ref); vocabulary 4, length 3; ${orderingSeeds.length} seeds`,
    required: false,
  },
  () => {
    const all = orderingSeeds.map((seed) => {
      const world = enumerableWorld({ seed, vocabulary: 4, length: 3 });
      const { reference, rewards } = world;
      const rows = samplePairs(world, PAIRS, seeded(seed + 9000));
      const objective = dpo as unknown as Objective;
      const policy = sequenceLogprobs(descend({ objective, world, rows, steps: STEPS, learningRate: 30 }));
      const kl = reverseKl.exact(policy, reference).value;
      const at = (logBeta: number) =>
        optimalPolicy({ reference, rewards, divergence: reverseKl, beta: Math.exp(logBeta) });
      const logBeta = rootBetween((x) => reverseKl.exact(at(x), reference).value - kl, Math.log(1e-4), Math.log(1e4));
      return { dpo: expectation(policy, rewards), ppo: expectation(at(logBeta), rewards) };
    });
    const above = count(all, (one) => one.dpo > one.ppo);
    const shown = `${mean(all.map((one) => one.dpo)).toFixed(3)} against ${mean(all.map((one) => one.ppo)).toFixed(3)}`;
    const why = 'the optimum of the true reward has no equal at its KL, so a deficit of PPO is one of its optimisation';
    return {
      reproduced: above > all.length / 2,
      found: `in ${above} of ${all.length} seeds, mean true reward ${shown}: ${why}`,
    };
  },
);
