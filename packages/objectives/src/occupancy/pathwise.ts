import { sequenceLogprobs, type TablePolicy } from '../enumerable/index.js';
import { divisor, type Grid, LARGEST_EXPONENT, rowDifferences, spreadRows, total } from '../numerics.js';
import { expectedGradient } from './divergences.js';

/** The estimates of one completion at its summed logratio r, and their derivatives by r. */
export interface PathwiseTerms {
  /** e^r - 1; above r = clip its tangent there. */
  readonly ratioMinus1: number;
  /** e^-r - 1, of mean 0 on samples of the policy; below r = -clip its tangent there. */
  readonly inverseRatioMinus1: number;
  readonly ratioSlope: number;
  readonly inverseRatioSlope: number;
}

/**
 * The two numbers that the authors of occupancy regularisation make of a completion. Laidlaw et al. 2024, arXiv:2403.03185,
 * as in their code for language models; c = `clip`, 10 there.
 *   a = e^r - 1 for r < c, else e^c (1 + r - c) - 1;    b = e^-r - 1 for r > -c, else e^c (1 - r - c) - 1
 */
export function pathwiseTerms(logratio: number, clip: number): PathwiseTerms {
  const [ratioMinus1, ratioSlope] = continuedExpm1(logratio, clip);
  const [inverseRatioMinus1, slope] = continuedExpm1(-logratio, clip);
  return { ratioMinus1, inverseRatioMinus1, ratioSlope, inverseRatioSlope: -slope };
}

/** e^x - 1, continued above `clip` by its tangent there; and its derivative. */
function continuedExpm1(x: number, clip: number): readonly [value: number, slope: number] {
  if (x < clip) return [Math.expm1(x), Math.exp(x)];
  const slope = Math.exp(clip);
  return [slope * (1 + x - clip) - 1, slope];
}

export interface PathwiseOptions {
  /** Weights of the terms of the loss. Default 0; the authors trained with `sqrtChi2Weight` 0.0008. */
  readonly klWeight?: number;
  readonly chi2Weight?: number;
  readonly sqrtChi2Weight?: number;
  /** |r| beyond which an exponential goes on as its tangent, at most 300. Default 10. */
  readonly clip?: number;
  /** What χ² is held above before its root is taken. Default 1e-4. */
  readonly floor?: number;
}

/** Rows of the policy with log-probabilities of policy and reference, each [rows, tokens]. */
export interface OccupancyRows extends Grid {
  readonly logprobs: Float64Array;
  readonly referenceLogprobs: Float64Array;
}

export interface PathwisePenalty {
  readonly loss: number;
  /** [rows, tokens]: d loss / d log π, exactly 0 where masked. */
  readonly slopes: Float64Array;
  /** mean(r + b) and mean(a + b). */
  readonly kl: number;
  readonly chi2: number;
  /** [rows]: r, a, b. */
  readonly logratios: Float64Array;
  readonly ratioMinus1: Float64Array;
  readonly inverseRatioMinus1: Float64Array;
  /** Shares of the rows with r above clip, and below -clip. */
  readonly ratioClipFraction: number;
  readonly inverseRatioClipFraction: number;
}

/**
 * The authors' penalty on a batch, differentiated as it stands. Laidlaw et al. 2024, arXiv:2403.03185; a, b of
 * `pathwiseTerms`, means over rows.
 *   kl = mean(r + b),  chi2 = mean(a + b)
 *   L = klWeight kl + chi2Weight chi2 + sqrtChi2Weight sqrt(max(chi2, floor))
 *   dL/dlog π(y_t) = mask_t/rows [ klWeight (1 + b') + (chi2Weight + sqrtChi2Weight/(2 sqrt(chi2))) (a' + b') ]
 * On samples of the policy both values are unbiased; b, of mean 0, keeps them from being negative. Traps:
 *   The gradient is another one. Samples are taken for given, so that of `chi2` is on average half that of χ²(π ‖ ref) plus
 *   that of KL(ref ‖ π), and that of `kl` is that of KL(ref ‖ π), not of KL(π ‖ ref): see `expectedPathwise`. What descends
 *   the divergence it names is `importanceEstimate`.
 *   Where chi2 is at most `floor` the root has no gradient at all: at the reference nothing holds the policy.
 *   Rows are taken to be of the policy as it stands; on rows of an older one nothing corrects for it.
 *   The root of a batch's mean is no mean of roots: batches have to be seen whole.
 * An empty completion has r = 0 and counts as a row.
 */
export function pathwisePenalty(rows: OccupancyRows, options: PathwiseOptions = {}): PathwisePenalty {
  const { klWeight = 0, chi2Weight = 0, sqrtChi2Weight = 0, clip = 10, floor = 1e-4 } = options;
  if (!(clip > 0 && clip <= LARGEST_EXPONENT)) {
    throw new RangeError(`\`clip\`: expected a number in (0, ${LARGEST_EXPONENT}], got ${clip}`);
  }
  const logratios = rowDifferences(rows, rows.logprobs, rows.referenceLogprobs);
  const terms = Array.from(logratios, (r) => pathwiseTerms(r, clip));
  const of = (value: (term: PathwiseTerms, row: number) => number) => Float64Array.from(terms, value);
  const count = divisor(rows.rows);
  const ratioMinus1 = of((term) => term.ratioMinus1);
  const inverseRatioMinus1 = of((term) => term.inverseRatioMinus1);
  const kl = total(inverseRatioMinus1.map((b, row) => logratios[row]! + b)) / count;
  const chi2 = total(inverseRatioMinus1.map((b, row) => ratioMinus1[row]! + b)) / count;
  const rootSlope = chi2 > floor ? 0.5 / Math.sqrt(chi2) : 0;
  const slopes = of(
    ({ ratioSlope: a, inverseRatioSlope: b }) =>
      (klWeight * (1 + b) + (chi2Weight + sqrtChi2Weight * rootSlope) * (a + b)) / count,
  );
  const share = (beyond: (r: number) => boolean) => logratios.filter(beyond).length / count;
  return {
    loss: klWeight * kl + chi2Weight * chi2 + sqrtChi2Weight * Math.sqrt(Math.max(chi2, floor)),
    slopes: spreadRows(rows, slopes),
    kl,
    chi2,
    logratios,
    ratioMinus1,
    inverseRatioMinus1,
    ratioClipFraction: share((r) => r > clip),
    inverseRatioClipFraction: share((r) => r < -clip),
  };
}

/** What the authors' estimators do on average over samples of a table policy, unclipped. */
export interface ExpectedPathwise {
  /** E_π of r + b and of a + b: KL(π ‖ ref) and χ²(π ‖ ref). */
  readonly kl: number;
  readonly chi2: number;
  /** [prefixes, vocabulary]: expected gradients at the logits, samples held: of KL(ref ‖ π); of χ²/2 + KL(ref ‖ π). */
  readonly klGradient: Float64Array;
  readonly chi2Gradient: Float64Array;
}

/** `pathwisePenalty` over all completions there are, each as often as the policy draws it. */
export function expectedPathwise(
  policy: TablePolicy,
  reference: TablePolicy,
  clip = LARGEST_EXPONENT,
): ExpectedPathwise {
  const logprobs = sequenceLogprobs(policy);
  const referenceLogprobs = sequenceLogprobs(reference);
  const possible = logprobs.map((logprob) => (logprob === Number.NEGATIVE_INFINITY ? 0 : 1));
  const logratios = logprobs.map((logprob, i) => (possible[i] ? logprob - referenceLogprobs[i]! : 0));
  const terms = Array.from(logratios, (r) => pathwiseTerms(r, clip));
  const mean = (value: (term: PathwiseTerms, i: number) => number) =>
    terms.reduce((sum, term, i) => (possible[i] ? sum + Math.exp(logprobs[i]!) * value(term, i) : sum), 0);
  return {
    kl: mean((term, i) => logratios[i]! + term.inverseRatioMinus1),
    chi2: mean((term) => term.ratioMinus1 + term.inverseRatioMinus1),
    klGradient: expectedGradient(
      policy,
      Float64Array.from(terms, ({ inverseRatioSlope }) => 1 + inverseRatioSlope),
    ),
    chi2Gradient: expectedGradient(
      policy,
      Float64Array.from(terms, ({ ratioSlope, inverseRatioSlope }) => ratioSlope + inverseRatioSlope),
    ),
  };
}
