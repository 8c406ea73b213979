import { whiten } from '../advantages/index.js';
import type { KlEstimator } from '../estimators/index.js';
import { divisor, total } from '../numerics.js';
import { klRewards } from './rewards.js';

/** Right-padded completions, whose masks follow from their lengths. */
export interface PaddedCompletions {
  readonly rows: number;
  readonly tokens: number;
  /** [rows, tokens] of the sampling policy; what stands in padding is not read. */
  readonly logprobs: Float64Array;
  readonly referenceLogprobs: Float64Array;
  /** [rows]. */
  readonly scores: Float64Array;
  /** [rows]: column of the last token. */
  readonly lastTokens: Float64Array;
}

export interface TrailingRewards {
  /** [rows, tokens]. */
  readonly rewards: Float64Array;
  /** [rows, tokens]: rewards divided by their deviation over `valueMask`, the mean kept. */
  readonly whitened: Float64Array;
  /** [rows, tokens]: 1 on tokens. */
  readonly tokenMask: Uint8Array;
  /** [rows, tokens]: 1 on tokens and on the slot behind the last one, where the value function is fitted too. */
  readonly valueMask: Uint8Array;
  readonly meanSequenceKl: number;
  /** Mean over rows of -Σ log π over all columns, a padded one counting -1 as in TRL: not an entropy of the policy. */
  readonly meanNegativeLogprob: number;
}

/** TRL writes this into padding, as the log-probability of policy and reference alike. */
const PADDING_LOGPROB = 1;

/**
 * The rewards of TRL's `PPOTrainer` and of summarize_from_feedback_details: as `shapedRewards`, but the score stands one
 * slot behind the last token where there is such a slot, else on the last token. To repeat their runs; with gamma 1 and an
 * exact value function it makes no difference.
 */
export function trailingSlotRewards(
  completions: PaddedCompletions,
  { klCoef, klEstimator }: { readonly klCoef: number; readonly klEstimator?: KlEstimator },
): TrailingRewards {
  const { rows, tokens, logprobs, scores, lastTokens } = completions;
  const upTo = (extra: number) =>
    Uint8Array.from(logprobs, (_, at) => (at % tokens <= lastTokens[Math.floor(at / tokens)]! + extra ? 1 : 0));
  const [tokenMask, valueMask] = [upTo(0), upTo(1)];
  const grid = { ...completions, completionMask: tokenMask };
  const { rewards, meanSequenceKl } = klRewards(grid, { klCoef, ...(klEstimator && { klEstimator }) });
  for (let row = 0; row < rows; row++) {
    rewards[row * tokens + Math.min(lastTokens[row]! + 1, tokens - 1)]! += scores[row]!;
  }
  const padded = logprobs.map((logprob, at) => (tokenMask[at] ? logprob : PADDING_LOGPROB));
  return {
    rewards,
    whitened: whiten(rewards, valueMask, { shiftMean: false }),
    tokenMask,
    valueMask,
    meanSequenceKl,
    meanNegativeLogprob: -total(padded) / divisor(rows),
  };
}
