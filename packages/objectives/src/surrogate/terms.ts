import type { Scores, TokenTable } from '../input.js';
import type { Mean, Metrics } from '../metrics.js';
import { divisor, type Grid, rowLengths, rowSums, total } from '../numerics.js';
import type { Evaluation } from '../objective.js';
import type { Aggregator } from './aggregation.js';
import type { Importance } from './importance.js';
import type { PolicyInput } from './input.js';

/** The sum of several losses on the same rows. Keys of metrics and details differ. */
export function sumTerms(terms: readonly Evaluation[]): Evaluation {
  const cotangents: Record<string, Float64Array> = {};
  for (const [score, values] of terms.flatMap((term) => Object.entries(term.cotangents))) {
    if (!values) continue;
    const before = cotangents[score];
    cotangents[score] = before ? before.map((value, at) => value + values[at]!) : values;
  }
  return {
    loss: terms.reduce((sum, { loss }) => sum + loss, 0),
    metrics: Object.assign({}, ...terms.map(({ metrics }) => metrics)),
    cotangents,
    details: Object.assign({}, ...terms.map(({ details = {} }) => details)),
  };
}

/** [rows, tokens]: numbers of a row's tokens times the row's weight. */
export function weighRows({ tokens }: Grid, values: Float64Array, weights: Float64Array): Float64Array {
  return values.map((value, at) => value * weights[Math.floor(at / tokens)]!);
}

/**
 * Mean over completion tokens of numbers that are 0 where masked; where one ratio stands for a whole row, the mean over
 * rows.
 */
export function meanOf(grid: Grid, values: Float64Array, importance: Importance = 'token'): Mean {
  const lengths = rowLengths(grid);
  if (importance === 'token') return { sum: total(values), count: total(lengths) };
  return { sum: total(rowSums(grid, values).map((sum, row) => sum / divisor(lengths[row]!))), count: grid.rows };
}

/**
 * -w A log π(y_t) per token, the weight w without gradient: REINFORCE with w = 1. `weights` is [rows, tokens], 0 where
 * masked.
 *   dL/dlog π(y_t) = -w A
 */
export function weightedTerm(input: PolicyInput, weights: Float64Array, means: Aggregator): Evaluation {
  const { policy, perToken, completionMask } = input;
  const slopes = weights.map((weight, at) => (completionMask[at] ? -weight * perToken.advantages[at]! : 0));
  const losses = slopes.map((slope, at) => (completionMask[at] ? slope * policy.logprobs[at]! : 0));
  const { loss, metric } = means.mean(losses);
  return {
    loss,
    metrics: { 'loss/policy_avg': metric },
    cotangents: { logprobs: weighRows(input, slopes, means.weights) },
    details: { weights },
  };
}

/** -coef H per token, H the entropy of the next token over the vocabulary: dL/dH = -coef. Nothing where coef is 0. */
export function entropyTerm(input: PolicyInput, coef: number, means: Aggregator): Evaluation {
  if (coef === 0) return { loss: 0, metrics: {}, cotangents: {} };
  const { completionMask, policy } = input;
  const { loss, metric } = means.mean(policy.entropy!.map((entropy, at) => (completionMask[at] ? entropy : 0)));
  const ones = Float64Array.from(completionMask);
  return {
    loss: -coef * loss,
    metrics: { 'loss/entropy_avg': metric },
    cotangents: {
      entropy: weighRows(
        input,
        ones,
        means.weights.map((weight) => -coef * weight),
      ),
    },
  };
}

export interface ValueOptions {
  readonly valueCoef: number;
  /** How far the value may move from the old one and still be fitted. 0: any way. */
  readonly valueClipRange: number;
}

/**
 * coef times half the squared error of the values, clipped to the neighbourhood of the old ones where that is worse.
 *   L = 0.5 max((V - R)², (clip(V, V_old ± range) - R)²);   dL/dV = V - R, or 0 where the clipped branch is the larger
 * Nothing where coef is 0.
 */
export function valueTerm(
  input: Grid &
    Pick<PolicyInput, 'old' | 'totals'> & { readonly policy: Scores; readonly perToken: Partial<TokenTable> },
  { valueCoef, valueClipRange }: ValueOptions,
  means: Aggregator,
): Evaluation {
  if (valueCoef === 0) return { loss: 0, metrics: {}, cotangents: {} };
  const { completionMask, policy, old, perToken } = input;
  const [losses, slopes, clips] = [0, 1, 2].map(() => new Float64Array(completionMask.length)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  for (let at = 0; at < losses.length; at++) {
    if (!completionMask[at]) continue;
    const [value, target] = [policy.values![at]!, perToken.returns![at]!];
    const error = value - target;
    const moved = valueClipRange > 0 ? value - old.values![at]! : 0;
    const held = Math.min(Math.max(moved, -valueClipRange), valueClipRange);
    const clippedError = error + held - moved;
    const clipped = clippedError ** 2 > error ** 2;
    losses[at] = 0.5 * Math.max(error ** 2, clippedError ** 2);
    slopes[at] = clipped ? 0 : error;
    clips[at] = clipped ? 1 : 0;
  }
  const { loss, metric } = means.mean(losses);
  const metrics: Metrics = {
    'loss/value_avg': metric,
    ...(valueClipRange > 0 && { 'val/clipfrac_avg': meanOf(input, clips) }),
  };
  return {
    loss: valueCoef * loss,
    metrics,
    cotangents: {
      values: weighRows(
        input,
        slopes,
        means.weights.map((weight) => valueCoef * weight),
      ),
    },
  };
}
