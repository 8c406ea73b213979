import {
  batchStd,
  divisor,
  type Grid,
  groupMean,
  groupStd,
  leaveOneOut,
  lengthWeighted,
  normalizeBatch,
  normalizeThenSum,
  reinforcePlusPlus,
  rowLengths,
  rowSums,
  spreadRows,
  whiten,
} from '@kelpie/objectives';

/** Rewards of a step's rollouts, the penalty taken off, and where their tokens stand. */
export interface Judgement extends Grid {
  /** [rows]: of the whole completion. NaN: not judged. */
  readonly rewards: Float64Array;
  /** [rows, tokens]: the same, told to the tokens. */
  readonly tokenRewards: Float64Array;
  /** [rows] of each reward before weighting, and their weights, for rules that normalise each by itself. */
  readonly parts: readonly Float64Array[];
  readonly weights: readonly number[];
  /** [rows] */
  readonly groups: Int32Array;
}

type Rule = (judgement: Judgement, options: { readonly gamma: number }) => Float64Array;

const ofRows =
  (rule: (judgement: Judgement) => Float64Array): Rule =>
  (judgement) =>
    spreadRows(judgement, rule(judgement));

/**
 * How rewards become the advantage of each token, [rows, tokens].
 *   group-std           (R - mean)/std of the group: GRPO              group-mean      R - mean of the group: Dr. GRPO
 *   batch-std           R - mean of the group, over the batch's std    leave-one-out   R - mean of the others: RLOO
 *   length-weighted     R - mean of the group weighted by length: OPO  batch           (R - mean)/std of the batch
 *   normalize-then-sum  each reward by its group's deviation, then the sum by the batch's: GDPO; sees no penalty
 *   reinforce++         what a token and those behind it earn, whitened over the batch
 *   none                R
 * A completion that nobody judged has advantage 0.
 */
const rules = {
  'group-std': ofRows(groupStd),
  'group-mean': ofRows(groupMean),
  'batch-std': ofRows(batchStd),
  'leave-one-out': ofRows(leaveOneOut),
  'length-weighted': ofRows((judgement) => lengthWeighted(judgement, rowLengths(judgement))),
  batch: ofRows(({ rewards }) => normalizeBatch(rewards)),
  'normalize-then-sum': ofRows(({ parts, weights, groups }) => normalizeThenSum({ rewards: parts, weights, groups })),
  'reinforce++': (judgement, { gamma }) => reinforcePlusPlus(judgement, judgement.tokenRewards, { gamma }).advantages,
  none: ofRows(({ rewards }) => rewards.map((reward) => (Number.isNaN(reward) ? 0 : reward))),
} as const satisfies Readonly<Record<string, Rule>>;

export type AdvantageName = keyof typeof rules;
export const advantageNames = Object.keys(rules) as [AdvantageName, ...AdvantageName[]];

/** The rule that an objective was published with. */
export function usualAdvantage(objective: string): AdvantageName {
  if (objective === 'dr-grpo') return 'group-mean';
  if (objective === 'rloo') return 'leave-one-out';
  if (objective === 'reinforce' || objective === 'ppo') return 'reinforce++';
  return 'group-std';
}

/** [rows, tokens] */
export function advantagesOf(
  name: AdvantageName,
  judgement: Judgement,
  options: { readonly gamma: number; readonly whiten: boolean },
): Float64Array {
  const advantages = rules[name](judgement, options);
  return options.whiten ? whiten(advantages, judgement.completionMask) : advantages;
}

/** [rows]: mean over a row's tokens, for logs. */
export function rowAdvantages(grid: Grid, advantages: Float64Array): Float64Array {
  const lengths = rowLengths(grid);
  return rowSums(grid, advantages).map((sum, row) => sum / divisor(lengths[row]!));
}
