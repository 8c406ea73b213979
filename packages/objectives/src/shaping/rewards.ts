import { type KlEstimator, tokenKl } from '../estimators/index.js';
import { divisor, type Grid, rowSums, total } from '../numerics.js';
import { type ScoreOptions, usedScores } from './scores.js';

/** Completions of the policy that sampled them, with their scores. */
export interface ScoredCompletions extends Grid {
  /** [rows, tokens] of the sampling policy. */
  readonly logprobs: Float64Array;
  /** [rows, tokens]. */
  readonly referenceLogprobs: Float64Array;
  /** [rows], of the reward model or rule. */
  readonly scores: Float64Array;
  /** [rows]: 1 where the completion ends with its end token; for `missingEos`. */
  readonly hasEos?: Uint8Array;
}

export interface KlRewardOptions extends ScoreOptions {
  /** Weight of the KL taken off the reward: 0.2 (OpenAI, with a controller), 0.05 (TRL), 0.001 (verl). */
  readonly klCoef: number;
  /** In a reward every estimator counts by its value: k1 and k3 are unbiased for KL(π ‖ π_ref). Default `k1`. */
  readonly klEstimator?: KlEstimator;
  /** Holds each token's estimate to ±klClamp: 10 in OpenRLHF, and in verl for k3. */
  readonly klClamp?: number;
}

export interface ShapedRewards {
  /** [rows, tokens], 0 where there is neither. */
  readonly rewards: Float64Array;
  /** [rows, tokens]: the KL estimates, 0 where masked. */
  readonly kl: Float64Array;
  /** [rows]: the scores after end-token penalty, clip and scale. */
  readonly usedScores: Float64Array;
  /** Mean over rows of a row's summed KL, and of -klCoef times it; TRL's `objective/kl` and `objective/non_score_reward`. */
  readonly meanSequenceKl: number;
  readonly meanNonScoreReward: number;
}

/**
 * Per-token rewards of KL-regularised policy optimisation, without gradient. Ziegler et al. 2019, arXiv:1909.08593, eq. 2;
 * placement as TRL 0.11, OpenRLHF and trlX:
 *   reward_t = -klCoef k_t  +  score on the last completion token
 * A row without a completion token gets no reward at all, and counts as a row with KL 0.
 */
export function shapedRewards(completions: ScoredCompletions, options: KlRewardOptions): ShapedRewards {
  const scores = usedScores(completions, options);
  const { rewards, kl, ...means } = klRewards(completions, options);
  return { rewards: addScores(completions, rewards, scores), kl, usedScores: scores, ...means };
}

/** [rows, tokens]: rewards with each row's score on its last completion token. */
export function addScores(
  { rows, tokens, completionMask }: Grid,
  rewards: Float64Array,
  scores: Float64Array,
): Float64Array {
  const scored = rewards.slice();
  for (let row = 0; row < rows; row++) {
    const last = completionMask.subarray(row * tokens, (row + 1) * tokens).lastIndexOf(1);
    if (last >= 0) scored[row * tokens + last]! += scores[row]!;
  }
  return scored;
}

/** The rewards before any score. */
export function klRewards(
  completions: Omit<ScoredCompletions, 'scores'>,
  { klCoef, klEstimator = 'k1', klClamp }: KlRewardOptions,
): Omit<ShapedRewards, 'usedScores'> {
  const { logprobs, referenceLogprobs, rows } = completions;
  const kl = tokenKl(completions, logprobs, referenceLogprobs, klEstimator, klClamp).values;
  const meanSequenceKl = total(rowSums(completions, kl)) / divisor(rows);
  return {
    kl,
    rewards: kl.map((value) => (value === 0 ? 0 : -klCoef * value)),
    meanSequenceKl,
    meanNonScoreReward: -klCoef * meanSequenceKl,
  };
}

/**
 * [rows]: rewards less klCoef times the summed k1 of each row, log π(y) - log π_ref(y): RLOO, whose baseline is then taken
 * of these. Ahmadian et al. 2024, arXiv:2402.14740. klCoef 0.05 in TRL, 0.03 in the paper.
 */
export function sequenceRewards(
  completions: ScoredCompletions,
  { klCoef, ...options }: Omit<KlRewardOptions, 'klEstimator'>,
): Float64Array {
  const { kl } = klRewards(completions, { ...options, klCoef });
  const sums = rowSums(completions, kl);
  return usedScores(completions, options).map((score, row) => score - klCoef * sums[row]!);
}
