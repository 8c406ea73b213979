import {
  type Advantages,
  batchStd,
  divisor,
  type Grid,
  gae,
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
  /** [rows, tokens]: of the critic before anything is learnt, for rules that read them. */
  readonly values?: Float64Array;
}

/** Advantages, and the returns that values are fitted to, where a rule makes any. */
type Ruled = Pick<Advantages, 'advantages'> & Partial<Advantages>;
type Rule = (judgement: Judgement, options: { readonly gamma: number; readonly gaeLambda: number }) => Ruled;

const ofRows =
  (rule: (judgement: Judgement) => Float64Array): Rule =>
  (judgement) => ({ advantages: spreadRows(judgement, rule(judgement)) });

/**
 * How rewards become the advantage of each token, [rows, tokens].
 *   group-std           (R - mean)/std of the group: GRPO              group-mean      R - mean of the group: Dr. GRPO
 *   batch-std           R - mean of the group, over the batch's std    leave-one-out   R - mean of the others: RLOO
 *   length-weighted     R - mean of the group weighted by length: OPO  batch           (R - mean)/std of the batch
 *   normalize-then-sum  each reward by its group's deviation, then the sum by the batch's: GDPO; sees no penalty
 *   reinforce++         what a token and those behind it earn, whitened over what was judged
 *   gae                 Σ_k (gamma gaeLambda)^k δ_t+k, δ_t = r_t + gamma V_t+1 - V_t of a critic's values: PPO
 *   none                R
 * A completion is an episode, ended or cut off: its reward is of the text as it stands, so no value is expected behind its
 * last token (TRL, trlX, OpenAI). A completion that nobody judged has advantage 0, and its returns are its values: there is
 * nothing to learn from it.
 */
const rules = {
  'group-std': ofRows(groupStd),
  'group-mean': ofRows(groupMean),
  'batch-std': ofRows(batchStd),
  'leave-one-out': ofRows(leaveOneOut),
  'length-weighted': ofRows((judgement) => lengthWeighted(judgement, rowLengths(judgement))),
  batch: ofRows(({ rewards }) => normalizeBatch(rewards)),
  'normalize-then-sum': ofRows(({ parts, weights, groups }) => normalizeThenSum({ rewards: parts, weights, groups })),
  'reinforce++': (judgement, { gamma }) => {
    const judged = { ...judgement, completionMask: judgedMask(judgement) };
    const { advantages } = reinforcePlusPlus(judged, judgement.tokenRewards, { gamma });
    return { advantages };
  },
  gae: (judgement, options) => {
    const { values, tokenRewards: rewards } = judgement;
    if (values === undefined) throw new RangeError('`values`: expected a number a token for `gae`, got nothing');
    return gae(judgement, { rewards, values }, options);
  },
  none: ofRows(({ rewards }) => rewards.map((reward) => (Number.isNaN(reward) ? 0 : reward))),
} as const satisfies Readonly<Record<string, Rule>>;

export type AdvantageName = keyof typeof rules;
export const advantageNames = Object.keys(rules) as [AdvantageName, ...AdvantageName[]];

/** The rule that an objective was published with; with values that are fitted `gae`. PPO without them has REINFORCE++'s. */
export function usualAdvantage(objective: string, valued = false): AdvantageName {
  if (valued) return 'gae';
  if (objective === 'dr-grpo') return 'group-mean';
  if (objective === 'rloo') return 'leave-one-out';
  if (objective === 'reinforce' || objective === 'ppo') return 'reinforce++';
  return 'group-std';
}

/** Whether advantages are whitened where nothing is said of it. */
export function whitens(rule: AdvantageName): boolean {
  return rule === 'gae' || rule === 'reinforce++';
}

/** Advantages of the rule, whitened over what was judged if asked for. Each [rows, tokens], 0 where masked. */
export function advantagesOf(
  name: AdvantageName,
  judgement: Judgement,
  options: { readonly gamma: number; readonly gaeLambda: number; readonly whiten: boolean },
): Ruled {
  const { tokens, rewards, values } = judgement;
  const completionMask = judgedMask(judgement);
  const ruled: Ruled = (rules[name] as Rule)(judgement, options);
  const judged = ruled.advantages.map((advantage, at) =>
    Number.isNaN(rewards[Math.floor(at / tokens)]) ? 0 : advantage,
  );
  const advantages = options.whiten && name !== 'reinforce++' ? whiten(judged, completionMask) : judged;
  if (ruled.returns === undefined) return { advantages };
  return { advantages, returns: ruled.returns.map((value, at) => (completionMask[at] ? value : values![at]!)) };
}

/** [rows, tokens]: 1 on the tokens of completions that were judged. */
export function judgedMask({
  tokens,
  completionMask,
  rewards,
}: Pick<Judgement, 'tokens' | 'completionMask' | 'rewards'>): Uint8Array {
  return completionMask.map((bit, at) => (Number.isNaN(rewards[Math.floor(at / tokens)]) ? 0 : bit));
}

/** [rows]: mean over a row's tokens, for logs. */
export function rowAdvantages(grid: Grid, advantages: Float64Array): Float64Array {
  const lengths = rowLengths(grid);
  return rowSums(grid, advantages).map((sum, row) => sum / divisor(lengths[row]!));
}
