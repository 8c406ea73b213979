import type { Divergence } from '../divergences/index.js';
import { divisor, type Grid, logSoftmax, rowLengths, total } from '../numerics.js';

/** Distributions of the next token at each completion token. */
export interface LogitBatch extends Grid {
  readonly vocabulary: number;
  /** [rows, tokens, vocabulary]: of the student. -Infinity bans a token. */
  readonly logits: Float64Array;
  /** [rows, tokens, vocabulary] */
  readonly teacherLogits: Float64Array;
  /** What the sum over tokens is divided by. Default: the completion tokens at hand, at least 1. */
  readonly scoredTokens?: number;
}

export interface LogitLoss {
  /** Mean over completion tokens. */
  readonly loss: number;
  /** [rows, tokens], 0 where masked. */
  readonly perToken: Float64Array;
  /** [rows, tokens, vocabulary]: d loss / d logit of the student, exactly 0 where masked or banned. */
  readonly gradient: Float64Array;
}

export interface DistillationOptions {
  /** Divides the logits of both. Default 1. */
  readonly temperature?: number;
  /**
   * Multiplies loss and gradient by temperature², which keeps the gradient's scale (Hinton et al. 2015). Default false.
   */
  readonly scaleByTemperatureSquared?: boolean;
}

/**
 * Distillation over the full vocabulary: the mean over completion tokens of D(p ‖ q), p = softmax(logits/T) the
 * student's and q = softmax(teacherLogits/T) the teacher's next token. Hinton et al. 2015, arXiv:1503.02531; on
 * completions of the student, Agarwal et al. 2023, arXiv:2306.13649.
 *   dL/dlogit_v = p_v (f'(p_v/q_v) - E_p f'(p/q))/(T tokens)
 * Any divergence serves: `forwardKl`, `reverseKl`, `totalVariation` and the rest, `generalizedJsd`, the skewed KLs,
 * `balancedKl`. A token banned on both sides takes no part. Banned on one side alone, value and gradient are finite
 * where the divergence is: by the teacher for forward KL, js, alpha, Neyman, Hellinger, total variation; by the student
 * for reverse KL, js, alpha, Pearson, Hellinger, total variation; on either side for the generalised Jensen-Shannon and
 * skewed KLs. A masked position is passed over, whatever its logits hold.
 */
export function distillationLoss(
  batch: LogitBatch,
  divergence: Divergence,
  { temperature = 1, scaleByTemperatureSquared = false }: DistillationOptions = {},
): LogitLoss {
  if (!(temperature > 0)) throw new RangeError(`temperature: expected a number above 0, got ${temperature}`);
  const scale = scaleByTemperatureSquared ? temperature ** 2 : 1;
  return meanOverTokens(batch, (logits, teacherLogits) => {
    const { value, gradient } = divergence.exact(tempered(logits, temperature), tempered(teacherLogits, temperature));
    return { loss: value, factor: scale, gradient: gradient.map((slope) => slope / temperature) };
  });
}

const tempered = (logits: Float64Array, temperature: number) => logSoftmax(logits.map((logit) => logit / temperature));

export interface PositionLoss {
  /** As `perToken` tells it. */
  readonly loss: number;
  /** Of the mean and of the gradient, which `loss` is without. */
  readonly factor: number;
  /** [vocabulary] */
  readonly gradient: Float64Array;
}

/** The mean over completion tokens of a loss of two vectors of logits. */
export function meanOverTokens(
  { rows, tokens, vocabulary, completionMask, logits, teacherLogits, ...batch }: LogitBatch,
  lossAt: (logits: Float64Array, teacherLogits: Float64Array, at: number) => PositionLoss,
): LogitLoss {
  const cells = rows * tokens * vocabulary;
  for (const [name, values] of Object.entries({ logits, teacherLogits })) {
    if (values.length !== cells) throw new RangeError(`${name}: expected ${cells} numbers, got ${values.length}`);
  }
  const step = divisor(batch.scoredTokens ?? total(rowLengths({ rows, tokens, completionMask })));
  const perToken = new Float64Array(rows * tokens);
  const gradient = new Float64Array(cells);
  let sum = 0;
  for (let at = 0; at < rows * tokens; at++) {
    if (!completionMask[at]) continue;
    const [from, to] = [at * vocabulary, (at + 1) * vocabulary];
    const position = lossAt(logits.subarray(from, to), teacherLogits.subarray(from, to), at);
    perToken[at] = position.loss;
    sum += position.factor * position.loss;
    gradient.set(
      position.gradient.map((slope) => (position.factor * slope) / step),
      from,
    );
  }
  return { loss: sum / step, perToken, gradient };
}
