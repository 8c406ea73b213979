import { rowLengths, total } from '../numerics.js';
import type { Evaluation } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import { type AggregationOptions, type Aggregator, aggregator } from './aggregation.js';
import { type ClipOptions, clippedLoss } from './clip.js';
import { logRatios, pullRatios, ratioOf } from './importance.js';
import { oldLogprobs, type PolicyInput } from './input.js';
import { type KlTermOptions, klTerm } from './kl-term.js';
import { entropyTerm, meanOf, sumTerms, weighRows } from './terms.js';

export interface SurrogateOptions extends ClipOptions, KlTermOptions, AggregationOptions {
  readonly entropyCoef: number;
}

/**
 * The loss that PPO, GRPO and their relatives share; they differ in its options.
 *   L = aggregate( clipped(ρ_t, A_t) + beta k(d_t) - entropyCoef H_t )
 * with ρ of `importance`, `clippedLoss` of `clip.ts`, k of `klTerm`, and the mean of `aggregation`.
 */
export function clippedSurrogate(input: PolicyInput, options: SurrogateOptions): Evaluation {
  const means = aggregator(input, options);
  return sumTerms([
    clippedTerm(input, options, means),
    klTerm(input, options, means),
    entropyTerm(input, options.entropyCoef, means),
    { loss: 0, metrics: entropyMetric(input), cotangents: {} },
  ]);
}

type TermOptions = ClipOptions & Pick<SurrogateOptions, 'importance' | 'logRatioClamp' | 'onPolicy'>;

/**
 * The policy's part alone. Logs `loss/policy_avg`, and TRL's `clip_ratio/low_mean`, `/high_mean` and `/region_mean`; the
 * last is their sum. Details: `ratios`, `losses`, and `clippedLow` and `clippedHigh`, 1 where so; [rows, tokens], 0 where
 * masked.
 */
export function clippedTerm(input: PolicyInput, options: TermOptions, means: Aggregator): Evaluation {
  const { completionMask, policy, perToken } = input;
  const { importance, logRatioClamp, dualClip, onPolicy } = options;
  const logs = logRatios(input, policy.logprobs, oldLogprobs(input, onPolicy), importance);
  const column = () => new Float64Array(completionMask.length);
  const [ratios, losses, slopes, low, high, dual] = [column(), column(), column(), column(), column(), column()];
  let clamped = 0;
  for (let at = 0; at < completionMask.length; at++) {
    if (!completionMask[at]) continue;
    const ratio = ratioOf(logs[at]!, logRatioClamp);
    const clipped = clippedLoss(ratio, perToken.advantages[at]!, options);
    ratios[at] = ratio.ratio;
    losses[at] = clipped.loss;
    slopes[at] = clipped.slope;
    low[at] = Number(clipped.low);
    high[at] = Number(clipped.high);
    dual[at] = Number(clipped.dual);
    if (ratio.clamped) clamped++;
  }
  const { loss, metric } = means.mean(losses);
  const [lowMean, highMean] = [meanOf(input, low, importance), meanOf(input, high, importance)];
  return {
    loss,
    metrics: {
      'loss/policy_avg': metric,
      'clip_ratio/low_mean': lowMean,
      'clip_ratio/high_mean': highMean,
      'clip_ratio/region_mean': { sum: lowMean.sum + highMean.sum, count: lowMean.count },
      ...(dualClip > 0 && { 'clip_ratio/dual_mean': meanOf(input, dual, importance) }),
      'ratio/clamped_fraction': { sum: clamped, count: total(rowLengths(input)) },
    },
    cotangents: { logprobs: pullRatios(input, weighRows(input, slopes, means.weights), importance) },
    details: { ratios, losses, clippedLow: low, clippedHigh: high },
  };
}
