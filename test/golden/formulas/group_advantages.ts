import {
  batchStd,
  groupMean,
  groupStd,
  leaveOneOut,
  lengthWeighted,
  normalizeThenSum,
  reinforcePlusPlus,
  remax,
} from '@kelpie/objectives';
import type { Inputs, Params, Variant, Variants } from './case.js';
import { gridOf } from './policy-rows.js';
import { groupsOf } from './stack.js';

/** Rewards stand group after group. */
function grouped(inputs: Inputs, params: Params) {
  const rewards = inputs.numbers('rewards');
  return { rewards, groups: groupsOf(rewards.length, params.number('group_size')) };
}

/** The case's `estimator` is its variant once more. */
const named =
  (advantagesOf: (inputs: Inputs, params: Params) => Float64Array): Variant =>
  (inputs, params, { variant }) => {
    params.text('estimator', [variant], variant);
    return { values: { advantages: advantagesOf(inputs, params) } };
  };

const epsilonOf = (params: Params) => ({ epsilon: params.number('eps', 1e-4) });

/** Column `at` of a [rows, columns] tensor. */
function column(inputs: Inputs, name: string, at: number): Float64Array {
  const width = inputs.shape(name)[1]!;
  return inputs.numbers(name).filter((_, cell) => cell % width === at);
}

export const variants: Variants = {
  group_std: named((inputs, params) => groupStd(grouped(inputs, params), epsilonOf(params))),
  group_mean: named((inputs, params) => groupMean(grouped(inputs, params))),
  batch_std: named((inputs, params) => batchStd(grouped(inputs, params), epsilonOf(params))),
  leave_one_out: named((inputs, params) => leaveOneOut(grouped(inputs, params))),
  length_weighted_baseline: named((inputs, params) =>
    lengthWeighted(grouped(inputs, params), inputs.numbers('lengths')),
  ),
  multi_reward_normalize_then_sum: named((inputs, params) => {
    const [rows, columns] = inputs.shape('rewards') as [number, number];
    return normalizeThenSum(
      {
        rewards: Array.from({ length: columns }, (_, at) => column(inputs, 'rewards', at)),
        weights: [...inputs.numbers('weights')],
        groups: groupsOf(rows, params.number('group_size')),
      },
      epsilonOf(params),
    );
  }),
  reinforce_pp: (inputs, params) => {
    const gamma = params.number('gamma', 1);
    const { returns, advantages } = reinforcePlusPlus(gridOf(inputs, 'rewards'), inputs.numbers('rewards'), { gamma });
    return { values: { returns, advantages } };
  },
  remax: (inputs) => {
    const { returns, advantages } = remax(
      gridOf(inputs, 'rewards'),
      inputs.numbers('rewards'),
      inputs.numbers('baselines'),
    );
    return { values: { returns, advantages } };
  },
};
