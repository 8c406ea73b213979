import { z } from 'zod';
import { divisor, rowDifferences, rowLengths, rowSums, spreadRows, total } from './numerics.js';
import {
  type CheckedInput,
  defineObjective,
  type Evaluation,
  type Objective,
  type ObjectiveDefinition,
} from './objective.js';
import { interleave, marginsOf, pairMetrics } from './pairs.js';

/** What the policy and the reference say of both sides of a pair, as one number a side. */
export interface PairScores {
  readonly chosen: number;
  readonly rejected: number;
}

/** A pair's loss, and its derivatives by the two scores. */
export interface PairLoss extends PairScores {
  readonly loss: number;
}

/** Summed logratios Δ, or each divided by the completion tokens of its row, at least 1. */
export type Average = 'sum' | 'mean';

/** What every objective on pairs with a reference reads. */
export const pairNeeds = { policy: ['logprobs'], reference: ['logprobs'] } as const;
export type PairInput = CheckedInput<typeof pairNeeds>;

export interface PairRule {
  /** Of the logged rewards. */
  readonly beta: number;
  readonly average?: Average;
  loss(scores: PairScores, pair: number): PairLoss;
}

/** A loss with `slopes` [rows] in place of cotangents: d loss / d log π(y_t), the same on each token of a row. */
export interface PairEvaluation extends Omit<Evaluation, 'cotangents'> {
  readonly slopes: Float64Array;
  readonly details: Readonly<Record<'losses' | keyof ReturnType<typeof pairDetails>, Float64Array>>;
}

/**
 * L = mean over the step's pairs of loss(s_chosen, s_rejected), s = Δ or Δ/n;  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   dL/dlogπ(y_t) = mask_t/pairs · dloss/ds · (1 or 1/n)
 */
export function evaluatePairs(input: PairInput, { beta, average = 'sum', loss }: PairRule): PairEvaluation {
  const logratios = rowDifferences(input, input.policy.logprobs, input.reference.logprobs);
  const divisors = average === 'mean' ? rowLengths(input).map(divisor) : logratios.map(() => 1);
  const scores = logratios.map((logratio, row) => logratio / divisors[row]!);
  const losses = Array.from({ length: input.rows / 2 }, (_, pair) =>
    loss({ chosen: scores[2 * pair]!, rejected: scores[2 * pair + 1]! }, pair),
  );
  const pairs = divisor(input.totals.groups);
  const implicitRewards = logratios.map((logratio) => beta * logratio);
  const perPair = Float64Array.from(losses, (pair) => pair.loss);
  return {
    loss: total(perPair) / pairs,
    metrics: pairMetrics(input, implicitRewards),
    slopes: interleave(losses.length, (pair) => losses[pair]!).map((slope, row) => slope / divisors[row]! / pairs),
    details: { losses: perPair, ...pairDetails(input, implicitRewards) },
  };
}

/** Rows and pairs as every objective on pairs tells them: [rows] but for `margins`, [pairs]. */
export function pairDetails(input: PairInput, implicitRewards: Float64Array) {
  return {
    implicitRewards,
    margins: marginsOf(implicitRewards),
    sequenceLogprobs: rowSums(input, input.policy.logprobs),
  };
}

type Options<Shape extends z.ZodRawShape> = z.output<z.ZodObject<Shape>>;

interface PairDefinition<Shape extends z.ZodRawShape>
  extends Pick<
    ObjectiveDefinition<Shape, typeof pairNeeds>,
    'name' | 'title' | 'summary' | 'paper' | 'options' | 'claims' | 'claimedAt'
  > {
  /** Default: summed. */
  average?(options: Options<Shape>): Average;
  /** Pure, of one pair. */
  loss(scores: PairScores, options: Options<Shape>): PairLoss;
}

/**
 * An objective that is a mean over pairs of a function of both sides' logratios. Its loss at the reference is that of
 * scores 0. `details`: `losses` and `margins` [pairs], `implicitRewards` and `sequenceLogprobs` [rows].
 */
export function definePairObjective<const Shape extends z.ZodRawShape & { readonly beta: z.ZodType<number> }>(
  definition: PairDefinition<Shape>,
): Objective<Options<Shape>> {
  const { average, loss, ...declared } = definition;
  return defineObjective({
    ...declared,
    rows: 'pairs',
    separable: true,
    needs: pairNeeds,
    atReference: (options) => loss({ chosen: 0, rejected: 0 }, options).loss,
    evaluate(input, options) {
      const { slopes, ...evaluation } = evaluatePairs(input, {
        beta: (options as { readonly beta: number }).beta,
        average: average?.(options) ?? 'sum',
        loss: (scores) => loss(scores, options),
      });
      return { ...evaluation, cotangents: { logprobs: spreadRows(input, slopes) } };
    },
  });
}

/** A loss of the margin beta (s_chosen - s_rejected), as one of both scores. */
export function ofMargin(
  beta: number,
  { chosen, rejected }: PairScores,
  loss: (margin: number) => { readonly loss: number; readonly slope: number },
): PairLoss {
  const { loss: value, slope } = loss(beta * chosen - beta * rejected);
  return { loss: value, chosen: beta * slope, rejected: -beta * slope };
}

/** The options that most of these objectives share. */
export const pairOptions = {
  beta: (preset: number) => z.number().positive().default(preset).describe('Weight of the pull to the reference.'),
  labelSmoothing: (preset = 0) =>
    z.number().min(0).lt(0.5).default(preset).describe('Share of pairs taken to be the wrong way round.'),
};
