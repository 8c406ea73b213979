import { type KlEstimator, klEstimate } from '../estimators/index.js';
import { straightThrough } from '../estimators/kl.js';
import { rowLengths, rowSums, total } from '../numerics.js';
import type { Evaluation } from '../objective.js';
import type { Aggregator } from './aggregation.js';
import { type Importance, logRatios, pullRatios, ratioOf } from './importance.js';
import { oldLogprobs, type PolicyInput } from './input.js';
import { weighRows } from './terms.js';

/** By what the KL term of a token is multiplied, for rows that another policy sampled. */
export const klImportances = ['none', 'stopped', 'live'] as const;
export type KlImportance = (typeof klImportances)[number];

export interface KlTermOptions {
  readonly beta: number;
  /** What is trained on: see `klEstimators` for the divergence its gradient descends. */
  readonly klEstimator: KlEstimator;
  /** What `kl` logs. */
  readonly reportedKl: KlEstimator;
  /** Holds each token's estimate to ±klClamp. 0: none. */
  readonly klClamp: number;
  /**
   * `stopped`: times π/π_old without gradient, an importance weight. `live`: with gradient, which adds the score term and
   * makes k1 and k3 descend KL(π ‖ π_ref) too; TRL's `use_bias_correction_kl`.
   */
  readonly klImportance: KlImportance;
  readonly importance: Importance;
  readonly logRatioClamp: number;
  readonly onPolicy: boolean;
}

/**
 * beta times the KL to the reference, estimated per token, as a term of the loss.
 *   L = beta k(d) w,  d = log π(y_t) - log π_ref(y_t);   dL/dlog π(y_t) = beta (k'(d) w + k(d) dw/dlog π(y_t))
 * with w of `klImportance`. `rowWeights`, [rows], are a further factor. Where beta is 0 the KL is only reported, if the
 * reference's log-probabilities are there. Logs `kl`, and the mean of k w over tokens as `kl/weighted` where there is a w.
 */
export function klTerm(
  input: PolicyInput,
  options: KlTermOptions,
  means: Aggregator,
  rowWeights?: Float64Array,
): Evaluation {
  const metrics = reported(input, options);
  if (options.beta === 0) return { loss: 0, metrics, cotangents: {} };

  const { completionMask, policy, tokens } = input;
  const [values, slopes, clamped] = estimates(input, options);
  const { weights, weightSlopes } = importanceWeights(input, options);
  const scale = (at: number) => (rowWeights ? rowWeights[Math.floor(at / tokens)]! : 1);
  const losses = values.map((value, at) => (completionMask[at] ? scale(at) * value * weights[at]! : 0));
  const direct = slopes.map((slope, at) => (completionMask[at] ? scale(at) * slope * weights[at]! : 0));
  const through = values.map((value, at) => (completionMask[at] ? scale(at) * value * weightSlopes[at]! : 0));
  const rows = means.weights.map((weight) => options.beta * weight);
  const pulled = pullRatios(input, weighRows(input, through, rows), options.importance);
  const { loss, metric } = means.mean(losses);
  return {
    loss: options.beta * loss,
    metrics: {
      ...metrics,
      'loss/kl_avg': metric,
      ...(options.klImportance !== 'none' && {
        'kl/weighted': { sum: total(rowSums(input, losses)), count: total(rowLengths(input)) },
      }),
      'kl/clamped_fraction': { sum: clamped, count: total(rowLengths(input)) },
    },
    cotangents: { logprobs: weighRows(input, direct, rows).map((value, at) => value + pulled[at]!) },
    details: { kl: Float64Array.from(policy.logprobs, (_, at) => (completionMask[at] ? values[at]! : 0)) },
  };
}

/** `kl`: mean over completion tokens of the reported estimator. */
function reported(input: PolicyInput, { reportedKl }: KlTermOptions): Evaluation['metrics'] {
  const { completionMask, policy } = input;
  const reference = input.reference.logprobs;
  if (!reference) return {};
  let sum = 0;
  for (let at = 0; at < completionMask.length; at++) {
    if (completionMask[at]) sum += klEstimate(reportedKl, policy.logprobs[at]! - reference[at]!).value;
  }
  return { kl: { sum, count: total(rowLengths(input)) } };
}

/**
 * Values and slopes, [rows, tokens]. A straight-through value is read from `stopped`, and k2 moves it: exactly the value
 * where nothing moves, with the gradient of k2.
 */
function estimates(
  { completionMask, policy, stopped, reference }: PolicyInput,
  { klEstimator, klClamp }: KlTermOptions,
): readonly [values: Float64Array, slopes: Float64Array, clamped: number] {
  const clamp = klClamp > 0 ? klClamp : undefined;
  const values = new Float64Array(completionMask.length);
  const slopes = new Float64Array(completionMask.length);
  let clamped = 0;
  for (let at = 0; at < values.length; at++) {
    if (!completionMask[at]) continue;
    const d = policy.logprobs[at]! - reference.logprobs![at]!;
    const still = straightThrough.has(klEstimator) ? stopped.logprobs[at]! - reference.logprobs![at]! : d;
    const estimate = klEstimate(klEstimator, still, clamp);
    values[at] = estimate.value + (d * d - still * still) / 2;
    slopes[at] = straightThrough.has(klEstimator) ? d : estimate.slope;
    if (estimate.clamped) clamped++;
  }
  return [values, slopes, clamped];
}

function importanceWeights(
  input: PolicyInput,
  { klImportance, importance, logRatioClamp, onPolicy }: KlTermOptions,
): { readonly weights: Float64Array; readonly weightSlopes: Float64Array } {
  const weightSlopes = new Float64Array(input.completionMask.length);
  if (klImportance === 'none') return { weights: new Float64Array(weightSlopes.length).fill(1), weightSlopes };
  const { logprobs } = klImportance === 'live' ? input.policy : input.stopped;
  const weights = logRatios(input, logprobs, oldLogprobs(input, onPolicy), importance).map((logRatio, at) => {
    const { ratio, slope } = ratioOf(logRatio, logRatioClamp);
    if (klImportance === 'live') weightSlopes[at] = slope;
    return ratio;
  });
  return { weights, weightSlopes };
}
