import type { Grid } from '@kelpie/objectives';
import {
  batchStd,
  groupMean,
  groupStd,
  leaveOneOut,
  normalizeBatch,
  normalizeThenSum,
  rowSums,
  sequenceRewards,
} from '@kelpie/objectives';

/** The completions of a rollout, groups standing together. */
export interface Judged extends Grid {
  readonly groups: Int32Array;
  /** [reward functions][rows]. */
  readonly rewards: readonly Float64Array[];
  /** [rows, tokens] of the policy that sampled; there if the rewards lose a divergence. */
  readonly logprobs?: Float64Array;
  readonly referenceLogprobs?: Float64Array;
}

export interface Advantages {
  /** [rows]. */
  readonly advantages: Float64Array;
  /** [rows]: the numbers whose spread in a group, or in the rollout, is looked at. */
  readonly compared: Float64Array;
  /** What that spread is over. */
  readonly spread: 'group' | 'rollout';
}

export type Advantage = (judged: Judged) => Advantages;

type Weights = readonly number[] | undefined;

/** [rows]: the rewards' sum, by weights; 1 each if there are none. What did not judge a row adds nothing to it (TRL's nansum). */
export function summed({ rewards, rows }: Pick<Judged, 'rewards' | 'rows'>, weights: Weights): Float64Array {
  if (weights !== undefined && weights.length !== rewards.length) {
    throw new Error(`options: ${weights.length} reward_weights for ${rewards.length} rewards`);
  }
  return Float64Array.from({ length: rows }, (_, row) =>
    rewards.reduce((sum, column, at) => {
      const reward = column[row]!;
      return Number.isNaN(reward) ? sum : sum + (weights?.[at] ?? 1) * reward;
    }, 0),
  );
}

const scalings = { group: groupStd, batch: batchStd, none: groupMean };

export function summedFirst(scale: keyof typeof scalings, weights: Weights): Advantage {
  return (judged) => {
    const rewards = summed(judged, weights);
    return {
      advantages: scalings[scale]({ rewards, groups: judged.groups }),
      compared: rewards,
      spread: scale === 'batch' ? 'rollout' : 'group',
    };
  };
}

export function normalizedFirst(weights: Weights): Advantage {
  return ({ rewards, groups }) => {
    const advantages = normalizeThenSum({ rewards, weights: weights ?? rewards.map(() => 1), groups });
    return { advantages, compared: advantages, spread: 'rollout' };
  };
}

export function clippedLeaveOneOut({
  weights,
  range,
  normalize,
  klCoef,
}: {
  readonly weights: Weights;
  readonly range: readonly number[] | undefined;
  readonly normalize: boolean;
  readonly klCoef: number;
}): Advantage {
  const [least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY] = range ?? [];
  return (judged) => {
    const none = new Float64Array(judged.completionMask.length);
    const { logprobs = none, referenceLogprobs = none } = judged;
    const scores = summed(judged, weights);
    const rewards = sequenceRewards(
      { ...judged, logprobs, referenceLogprobs, scores },
      { klCoef, clip: [least, most] },
    );
    const advantages = leaveOneOut({ rewards, groups: judged.groups });
    return { advantages: normalize ? normalizeBatch(advantages) : advantages, compared: rewards, spread: 'group' };
  };
}

/** Mean over completion tokens of log policy - log reference. */
export function meanLogratio(judged: Judged): number {
  const differences = judged.logprobs!.map((value, at) => value - judged.referenceLogprobs![at]!);
  const sum = rowSums(judged, differences).reduce((a, b) => a + b, 0);
  return (
    sum /
    Math.max(
      1,
      judged.completionMask.reduce((a, b) => a + b, 0),
    )
  );
}
