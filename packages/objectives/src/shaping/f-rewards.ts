import type { Divergence } from '../divergences/divergence.js';
import { divisor, type Grid, LARGEST_EXPONENT, rowSums, total } from '../numerics.js';
import { addScores, type ScoredCompletions } from './rewards.js';
import { type ScoreOptions, usedScores } from './scores.js';

/**
 * What of an f-divergence is charged for one token of the policy; u = π(y_t)/π_ref(y_t).
 *   bare         f(u)/u                        f-PPO charges this
 *   centred      f(u)/u + f'(1) (1/u - 1)      never negative, 0 at u = 1; f-PPO logs this
 *   derivative   f'(u)
 * The first two are of mean D_f(π_t ‖ π_ref,t) over samples of the policy, where it rules out nothing that the reference
 * does; they are the same where f'(1) = 0. The third has another mean, and the gradient: see `fPenalty`.
 */
export type FPenaltyForm = 'bare' | 'centred' | 'derivative';

/**
 * The charge of one token at its logratio, log u. As a reward it is a constant, and what a policy gradient then descends on
 * that token is E_π[charge ∇log π]: the gradient of D_f for `derivative` alone, and for `bare` under reverse KL, where the two
 * differ by 1. Log-ratios are held to ±300.
 */
export function fPenalty(divergence: Divergence, logRatio: number, form: FPenaltyForm = 'bare'): number {
  const r = Math.min(Math.max(logRatio, -LARGEST_EXPONENT), LARGEST_EXPONENT);
  if (form === 'derivative') return divergence.derivative(r);
  const bare = divergence.perspective(0, -r);
  return form === 'bare' ? bare : bare + divergence.derivative(0) * Math.expm1(-r);
}

export interface FRewardOptions extends ScoreOptions {
  readonly divergence: Divergence;
  /** Weight of the penalty taken off the reward. */
  readonly coef: number;
  /** What is charged. Default `bare`. */
  readonly form?: FPenaltyForm;
  /** Holds each token's charge to ± this. */
  readonly clamp?: number;
}

export interface FShapedRewards {
  /** [rows, tokens], 0 where there is neither. */
  readonly rewards: Float64Array;
  /** [rows, tokens]: what was charged, before coef; 0 where masked. */
  readonly penalties: Float64Array;
  /** [rows, tokens]: `centred` estimates of the divergence, whatever was charged; 0 where masked. */
  readonly divergences: Float64Array;
  /** [rows]: the scores after end-token penalty, clip and scale. */
  readonly usedScores: Float64Array;
  /** Mean over rows of a row's summed `divergences`, and of -coef times its summed penalties. */
  readonly meanSequenceDivergence: number;
  readonly meanNonScoreReward: number;
}

/**
 * `shapedRewards` under another divergence from the reference than KL(π ‖ π_ref): per-token rewards without gradient.
 * Wang et al. 2023, arXiv:2309.16240, f-PPO, with the forms of the authors' code.
 *   reward_t = -coef penalty(u_t)  +  score on the last completion token
 * That code has generators g of the inverted ratio x = π_ref/π: g(x) = x f(1/x) = f(u)/u, so that its `reverse_kl` is -log x
 * and its `forward_kl` x log x. It charges g(x) and logs g(x) - g'(1) (x - 1), g'(1) = -f'(1). Under reverse KL these are k1
 * and k3 of `shapedRewards`. A charge stands in the return of the tokens before it too: there it has to have the mean D_f,
 * and on its own token the slope f'(u). Of all f reverse KL alone has both in one number, up to a constant; under another
 * the divergence over the full vocabulary in the loss, `distillation` in a `weighted` sum, has the gradient of each token
 * exactly.
 */
export function fShapedRewards(
  completions: ScoredCompletions,
  { divergence, coef, form = 'bare', clamp = Number.POSITIVE_INFINITY, ...options }: FRewardOptions,
): FShapedRewards {
  const scores = usedScores(completions, options);
  const charge = (as: FPenaltyForm) => perToken(completions, (r) => fPenalty(divergence, r, as));
  const penalties = charge(form).map((value) => Math.min(Math.max(value, -clamp), clamp));
  const divergences = charge('centred');
  const rewards = penalties.map((value) => (value === 0 ? 0 : -coef * value));
  const mean = (values: Float64Array) => total(rowSums(completions, values)) / divisor(completions.rows);
  return {
    rewards: addScores(completions, rewards, scores),
    penalties,
    divergences,
    usedScores: scores,
    meanSequenceDivergence: mean(divergences),
    meanNonScoreReward: -coef * mean(penalties),
  };
}

/** [rows, tokens]: a function of each token's logratio, 0 where masked. */
function perToken(
  { completionMask, logprobs, referenceLogprobs }: Grid & Pick<ScoredCompletions, 'logprobs' | 'referenceLogprobs'>,
  of: (logRatio: number) => number,
): Float64Array {
  return logprobs.map((logprob, at) => (completionMask[at] ? of(logprob - referenceLogprobs[at]!) : 0));
}
