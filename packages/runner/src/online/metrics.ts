import {
  divisor,
  type Grid,
  informativeRows,
  klEstimate,
  rowDifferences,
  rowLengths,
  rowSums,
  rowsByGroup,
  total,
} from '@kelpie/objectives';
import type { Judged } from './rewards.js';
import type { Rollouts } from './rollouts.js';

type Numbers = Readonly<Record<string, number>>;

/** Scores of a step's completions, each [rows, tokens]. */
export interface RolloutScores {
  readonly logprobs: Float64Array;
  readonly entropy?: Float64Array;
  readonly referenceLogprobs?: Float64Array;
  /** Of the critic, before it learns. */
  readonly values?: Float64Array;
  readonly reverseKl?: Float64Array;
  readonly forwardKl?: Float64Array;
}

/**
 * Distances from the reference, in nats a completion, by completions y that the policy drew; r = log π(y)/π_ref(y).
 *   divergence/kl_exact     mean Σ_t KL(π ‖ π_ref), the whole vocabulary at each token
 *   divergence/forward_kl   mean Σ_t KL(π_ref ‖ π), at the tokens that the policy went through
 *   divergence/kl_k1        mean r                           divergence/kl_k3   mean e^-r - 1 + r, never negative
 *   divergence/chi2         mean e^r + e^-r - 2: χ²(π ‖ π_ref) without bias, with a tail that a few completions may make
 */
export function divergenceMetrics(grid: Grid, scores: RolloutScores): Numbers {
  const { logprobs, referenceLogprobs, reverseKl, forwardKl } = scores;
  if (referenceLogprobs === undefined) return {};
  const logratios = rowDifferences(grid, logprobs, referenceLogprobs);
  const perRow = (of: (r: number) => number) => total(logratios.map(of)) / divisor(grid.rows);
  const exact = (values: Float64Array) => total(rowSums(grid, values)) / divisor(grid.rows);
  const k3 = (r: number) => klEstimate('k3', r).value;
  return {
    ...(reverseKl && { 'divergence/kl_exact': exact(reverseKl) }),
    ...(forwardKl && { 'divergence/forward_kl': exact(forwardKl) }),
    'divergence/kl_k1': perRow((r) => r),
    'divergence/kl_k3': perRow(k3),
    'divergence/chi2': perRow((r) => k3(r) + k3(-r)),
  };
}

/**
 * Rewards under TRL's names: `reward` and `reward_std` of the weighted sum, the latter the mean of the groups' deviations;
 * `rewards/NAME/mean` and `/std` of every part over the batch, `watched/NAME/...` of what is not optimised;
 * `frac_reward_zero_std`, the share of groups in which all completions have one reward. Means are over what was judged; what
 * nothing was judged for has no key.
 */
export function rewardMetrics({ rewards, parts, watched }: Judged, groups: Int32Array): Numbers {
  const informative = informativeRows({ rewards, groups });
  const told = (table: Readonly<Record<string, Float64Array>>, kind: string) =>
    Object.entries(table).flatMap(([name, values]) => {
      if (!anyJudged(values)) return [];
      const { mean, deviation } = momentsOf(values);
      return [
        [`${kind}/${name}/mean`, mean],
        [`${kind}/${name}/std`, deviation],
      ];
    });
  const parted = Object.fromEntries([...told(parts, 'rewards'), ...told(watched, 'watched')]);
  if (!anyJudged(rewards)) return parted;
  const deviations = rowsByGroup(groups).map((rows) => momentsOf(rows.map((row) => rewards[row]!)).deviation);
  return {
    reward: momentsOf(rewards).mean,
    reward_std: deviations.reduce((sum, value) => sum + value, 0) / divisor(deviations.length),
    frac_reward_zero_std: 1 - total(Float64Array.from(informative)) / divisor(informative.length),
    ...parted,
  };
}

/** Whether one of the rows was judged. */
export function anyJudged(rewards: Float64Array): boolean {
  return rewards.some((reward) => !Number.isNaN(reward));
}

/** Mean and deviation (by n - 1) of what was judged; 0 where there is nothing. */
export function momentsOf(values: Iterable<number>): { readonly mean: number; readonly deviation: number } {
  const judged = [...values].filter((value) => !Number.isNaN(value));
  const mean = judged.reduce((sum, value) => sum + value, 0) / divisor(judged.length);
  const squares = judged.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / divisor(judged.length - 1)) };
}

/**
 * Lengths under TRL's names: of all completions, and of those that their end token ended; `clipped_ratio` is the share cut
 * off. `entropy` is the mean over tokens of the next token's.
 */
export function completionMetrics(rollouts: Rollouts, { entropy }: Pick<RolloutScores, 'entropy'>): Numbers {
  const lengths = rowLengths(rollouts);
  const terminated = lengths.filter((_, row) => rollouts.ended[row]);
  const mean = (values: Float64Array) => total(values) / divisor(values.length);
  const most = (values: Float64Array) => values.reduce((so, value) => Math.max(so, value), 0);
  const least = (values: Float64Array) => values.reduce((so, value) => Math.min(so, value), most(values));
  return {
    'completions/mean_length': mean(lengths),
    'completions/min_length': least(lengths),
    'completions/max_length': most(lengths),
    'completions/mean_terminated_length': mean(terminated),
    'completions/clipped_ratio': 1 - terminated.length / divisor(lengths.length),
    'val/num_eos_tokens': terminated.length,
    ...(entropy && { entropy: total(rowSums(rollouts, entropy)) / divisor(total(lengths)) }),
  };
}

/**
 * What TRL's PPO logs of the objective, means over completions: `objective/kl` Σ_t k1 and `objective/entropy` Σ_t of the
 * sampled surprise; over those that were judged, if any: `objective/scores` the reward, `objective/non_score_reward` what the
 * penalty takes off, `objective/rlhf_reward` their sum; and `penalty/coefficient`, the weight of the penalty.
 */
export function objectiveMetrics(
  grid: Grid,
  scores: RolloutScores,
  { rewards, penalties, coef }: { rewards: Float64Array; penalties: Float64Array; coef: number },
): Numbers {
  const rows = divisor(grid.rows);
  const left = momentsOf(rewards).mean;
  const taken = momentsOf(penalties.map((penalty, row) => (Number.isNaN(rewards[row]) ? Number.NaN : penalty))).mean;
  const surprise = -total(rowSums(grid, scores.logprobs)) / rows;
  const kl = scores.referenceLogprobs && total(rowDifferences(grid, scores.logprobs, scores.referenceLogprobs)) / rows;
  return {
    ...(kl !== undefined && { 'objective/kl': kl }),
    ...(anyJudged(rewards) && {
      'objective/scores': left + taken,
      'objective/non_score_reward': -taken,
      'objective/rlhf_reward': left,
    }),
    'objective/entropy': surprise,
    'penalty/coefficient': coef,
  };
}

/** |log-probability of the engine - of the policy| of a token, in nats, above which it is counted as off. */
const OFF = 0.1;

/**
 * What the engine that drew and the policy say of the same tokens, |difference| in nats: `sampler/mean_logprob_difference`,
 * `sampler/max_logprob_difference`, and `sampler/share_off`, the share of tokens further off than 0.1. Rounding makes up to
 * 1e-5 in float32 and some 0.02 in bfloat16; more says that the engine has other weights.
 * @param logprobs [rows, tokens] of the policy, at the temperature that the engine's are meant at
 */
export function samplerMetrics({ tokens, completions }: Rollouts, logprobs: Float64Array): Numbers {
  const found = { count: 0, sum: 0, most: 0, off: 0 };
  completions.forEach((completion, row) => {
    completion.logprobs.forEach((logprob, token) => {
      const difference = Math.abs(logprob - logprobs[row * tokens + token]!);
      found.count++;
      found.sum += difference;
      found.most = Math.max(found.most, difference);
      if (difference > OFF) found.off++;
    });
  });
  return {
    'sampler/mean_logprob_difference': found.sum / divisor(found.count),
    'sampler/max_logprob_difference': found.most,
    'sampler/share_off': found.off / divisor(found.count),
  };
}
