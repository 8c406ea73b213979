import { z } from 'zod';
import type { Metrics } from './metrics.js';
import { type NllReduction, nll } from './nll.js';
import { divisor, type Grid, rowLengths, rowSums, spreadRows, total } from './numerics.js';
import type { CheckedInput, Evaluation } from './objective.js';
import { interleave, marginsOf, pairMetrics } from './pairs.js';

/** What every preference loss without a reference reads. */
export const policyOnly = { policy: ['logprobs'], reference: [] } as const;
export type PolicyInput = CheckedInput<typeof policyOnly>;

/** A number per row made of its sequence log-probability L or average log-probability A = L/n, n at least 1. */
export interface SequenceScores {
  /** [rows]: L or A, whichever is scored. */
  readonly logprobs: Float64Array;
  /** [rows]: A. */
  readonly averages: Float64Array;
  /** [rows]: d score / d log π(y_t), the same on each completion token: 1 or 1/n. */
  readonly slopes: Float64Array;
}

export function sequenceScores(grid: Grid, logprobs: Float64Array, average: boolean): SequenceScores {
  const sums = rowSums(grid, logprobs);
  const shares = rowLengths(grid).map((length) => 1 / divisor(length));
  const averages = sums.map((sum, row) => sum * shares[row]!);
  return average
    ? { logprobs: averages, averages, slopes: shares }
    : { logprobs: sums, averages, slopes: shares.fill(1) };
}

/** A loss per pair of what both sides score. */
export interface ScoredPairs {
  readonly scores: SequenceScores;
  /** [rows], logged and compared for the accuracy. */
  readonly implicitRewards: Float64Array;
  /** [pairs]: what the loss is a function of. */
  readonly margins: Float64Array;
  /** [pairs]. */
  readonly losses: Float64Array;
  /** [rows]: d loss of the pair / d score of the row. */
  readonly slopes: Float64Array;
}

export interface NllOptions {
  readonly nllWeight: number;
  readonly nllReduction: NllReduction;
}

/**
 * The mean of the pairs' losses over the step, plus nllWeight times the negative log-likelihood of the chosen side. The
 * likelihood is that of every token of `input`; `completion` holds those that were scored, all by default.
 */
export function evaluateScored(
  input: PolicyInput,
  { scores, implicitRewards, margins, losses, slopes }: ScoredPairs,
  { nllWeight, nllReduction }: NllOptions,
  completion: Grid = input,
): Evaluation {
  const { policy, totals } = input;
  const pairs = divisor(totals.groups);
  const preference = total(losses) / pairs;
  const perToken = slopes.map((slope, row) => (slope * scores.slopes[row]!) / pairs);
  const metrics: Metrics = {
    ...pairMetrics({ ...input, ...completion }, implicitRewards, scores.logprobs),
    preference_loss: { sum: total(losses), count: losses.length },
  };
  const details = { losses, margins, implicitRewards, averageLogprobs: scores.averages };
  const preferred = spreadRows(completion, perToken);
  if (nllWeight === 0) return { loss: preference, metrics, cotangents: { logprobs: preferred }, details };
  const counts = { tokens: totals.chosenTokens, rows: totals.groups };
  const chosen = nll(input, policy.logprobs, nllReduction, counts, (row) => row % 2 === 0);
  const likelihood = spreadRows(input, chosen.slopes);
  return {
    loss: preference + nllWeight * chosen.loss,
    metrics: { ...metrics, nll_loss: chosen.mean },
    cotangents: { logprobs: preferred.map((slope, at) => slope + nllWeight * likelihood[at]!) },
    details,
  };
}

/** A function of the margin of two scores, of which the chosen one counts upwards. */
export function scoredPairs(
  scores: SequenceScores,
  rewards: { readonly values: Float64Array; readonly slopes: Float64Array },
  { shift, loss }: { readonly shift: number; readonly loss: (margin: number) => { loss: number; slope: number } },
): ScoredPairs {
  const margins = marginsOf(rewards.values).map((margin) => margin - shift);
  const losses = Array.from(margins, loss);
  return {
    scores,
    implicitRewards: rewards.values,
    margins,
    losses: Float64Array.from(losses, (pair) => pair.loss),
    slopes: interleave(losses.length, (pair) => ({
      chosen: losses[pair]!.slope * rewards.slopes[2 * pair]!,
      rejected: -losses[pair]!.slope * rewards.slopes[2 * pair + 1]!,
    })),
  };
}

/** Beyond this exponent `shapedReward` stays what it is: exp(300) squared, times any beta, is a finite number. */
const maxExponent = 300;

/**
 * β (1 - e^{-αA})/α of AlphaPO, β A at α = 0; its slope by A is β e^{-αA}. -αA is cut at 300, where the slope is 0: for
 * α = 1/4 that is a mean of -1200 nats a token.
 */
export function shapedReward(logprob: number, alpha: number, beta: number): { value: number; slope: number } {
  if (alpha === 0) return { value: beta * logprob, slope: beta };
  const exponent = -alpha * logprob;
  const value = (-beta * Math.expm1(Math.min(exponent, maxExponent))) / alpha;
  return { value, slope: exponent > maxExponent ? 0 : beta * Math.exp(exponent) };
}

/** `shapedReward` of each row. */
export function shapedRewards({ logprobs }: SequenceScores, { alpha, beta }: { alpha: number; beta: number }) {
  const shaped = Array.from(logprobs, (logprob) => shapedReward(logprob, alpha, beta));
  return {
    values: Float64Array.from(shaped, ({ value }) => value),
    slopes: Float64Array.from(shaped, ({ slope }) => slope),
  };
}

/** Options that these objectives share. */
export const referenceFreeOptions = {
  beta: (preset: number) => z.number().positive().default(preset).describe('Scale of the margin.'),
  labelSmoothing: z
    .number()
    .min(0)
    .lt(0.5)
    .default(0)
    .describe('Share of pairs taken to be the wrong way round; of the logistic loss only.'),
  nllWeight: (preset: number) =>
    z.number().min(0).default(preset).describe('Weight of the negative log-likelihood of the chosen completion.'),
  nllReduction: (preset: NllReduction = 'tokens') =>
    z
      .enum(['tokens', 'rows', 'sums'])
      .default(preset)
      .describe('Mean over all chosen tokens of the step, mean of row means, or mean of row sums.'),
};
