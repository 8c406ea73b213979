import { logSumExp } from '../enumerable/policy.js';
import { logSoftmax } from '../numerics.js';
import { type LogitBatch, type LogitLoss, meanOverTokens } from './logits.js';

/**
 * How much each place of the ranking counts.
 *   teacher   the teacher's probability of the class at that place (PLD)
 *   uniform   1/vocabulary: ListMLE
 *   first     the label alone: cross-entropy
 */
export const placeWeights = ['teacher', 'uniform', 'first'] as const;
export type PlaceWeights = (typeof placeWeights)[number];

export interface RankingDistillationOptions {
  /** Default `teacher`. */
  readonly weights?: PlaceWeights;
  /** Divides the teacher's logits before their softmax. Default 1, the best reported. */
  readonly teacherTemperature?: number;
}

export interface RankingDistillation {
  readonly loss: number;
  /**
   * [classes]: class at each place, the label first, then by descending teacher logit, the lower index first among
   * equals.
   */
  readonly order: Int32Array;
  /** [classes]: weight of each place. */
  readonly weights: Float64Array;
  /** [classes]: d loss / d logit. */
  readonly gradient: Float64Array;
}

/**
 * Plackett-Luce distillation at one position: the student is to draw classes in the teacher's order, the true label
 * first. 2025, arXiv:2506.12542, as its method text and a third party's code have it (lightonai/pylate); the gradient
 * is derived.
 *   L = Σ_k w_k (log Σ_{j >= k} e^{s_j} - s_k),   places k = 0.. of the order
 *   dL/ds at place j = Σ_{k <= j} w_k softmax_{places from k}(s)_j - w_j
 * Convex in the student's logits s, and unmoved by a shift of them. Sorts: vocabulary · log vocabulary a position. A
 * class that the student bans stands in no sum; where it has a place of positive weight the loss is Infinity and its
 * gradient that of the other places.
 */
export function rankingDistillation(
  logits: Float64Array,
  teacherLogits: Float64Array,
  label: number,
  options: RankingDistillationOptions = {},
): RankingDistillation {
  const { order, weights } = teacherRanking(teacherLogits, label, options);
  const classes = logits.length;
  const scores = Float64Array.from(order, (index) => logits[index]!);
  const suffixes = suffixLogSums(scores);
  const gradient = new Float64Array(classes);
  let loss = 0;
  // log Σ_{k <= j} w_k e^{-suffix_k}: with it the softmaxes of all suffixes add up in one pass.
  let logShare = Number.NEGATIVE_INFINITY;
  for (let place = 0; place < classes; place++) {
    const weight = weights[place]!;
    if (weight > 0) {
      loss += weight * (suffixes[place]! - scores[place]!);
      if (suffixes[place]! > Number.NEGATIVE_INFINITY)
        logShare = logSumExp([logShare, Math.log(weight) - suffixes[place]!]);
    }
    if (scores[place]! === Number.NEGATIVE_INFINITY) continue;
    gradient[order[place]!] = Math.exp(scores[place]! + logShare) - weight;
  }
  return { loss, order, weights, gradient };
}

/** The order of `rankingDistillation` and what each place of it weighs. */
export function teacherRanking(
  teacherLogits: Float64Array,
  label: number,
  { weights: kind = 'teacher', teacherTemperature = 1 }: RankingDistillationOptions = {},
): Pick<RankingDistillation, 'order' | 'weights'> {
  const classes = teacherLogits.length;
  if (!isClass(label, classes)) throw new RangeError(`label: expected a class from 0 to ${classes - 1}, got ${label}`);
  const order = Int32Array.from(teacherLogits.keys()).sort((a, b) => {
    if (a === label || b === label) return a === label ? -1 : 1;
    return descending(teacherLogits[a]!, teacherLogits[b]!) || a - b;
  });
  const teacher = logSoftmax(teacherLogits.map((logit) => logit / teacherTemperature));
  const weights = Float64Array.from(order, (index, place) => {
    if (kind === 'teacher') return Math.exp(teacher[index]!);
    return kind === 'uniform' ? 1 / classes : Number(place === 0);
  });
  return { order, weights };
}

const isClass = (label: number, classes: number) => Number.isInteger(label) && label >= 0 && label < classes;

/**
 * The larger first; equal ones, -Infinity among them, are level. NaN, which only a masked position may hold, is first.
 */
function descending(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(b)) - Number(Number.isNaN(a));
  return a === b ? 0 : b - a;
}

/** [places]: log Σ_{j >= k} e^{s_j}. */
function suffixLogSums(scores: Float64Array): Float64Array {
  const sums = new Float64Array(scores.length);
  let sum = Number.NEGATIVE_INFINITY;
  for (let place = scores.length - 1; place >= 0; place--) {
    sum = logSumExp([sum, scores[place]!]);
    sums[place] = sum;
  }
  return sums;
}

/** The teacher's rankings, each [rows, tokens, vocabulary]: wherever the label is a class, masked or not. */
export interface RankingDistillationLoss extends LogitLoss {
  readonly order: Int32Array;
  readonly weights: Float64Array;
}

/**
 * `rankingDistillation` at every completion token, averaged over them. `labels` is [rows, tokens]: the realised tokens.
 */
export function rankingDistillationLoss(
  batch: LogitBatch & { readonly labels: ArrayLike<number> },
  options: RankingDistillationOptions = {},
): RankingDistillationLoss {
  const { vocabulary, labels, teacherLogits } = batch;
  const cells = batch.rows * batch.tokens * vocabulary;
  const order = new Int32Array(cells);
  const weights = new Float64Array(cells);
  const loss = meanOverTokens(batch, (logits, teacher, at) => ({
    ...rankingDistillation(logits, teacher, labels[at]!, options),
    factor: 1,
  }));
  for (let at = 0; at < batch.rows * batch.tokens; at++) {
    if (!isClass(labels[at]!, vocabulary)) continue;
    const from = at * vocabulary;
    const ranking = teacherRanking(teacherLogits.subarray(from, from + vocabulary), labels[at]!, options);
    order.set(ranking.order, from);
    weights.set(ranking.weights, from);
  }
  return { ...loss, order, weights };
}
