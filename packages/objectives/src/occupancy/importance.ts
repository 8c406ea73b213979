import { divisor, type Grid, LARGEST_EXPONENT, rowDifferences, total } from '../numerics.js';
import { ratioOf } from '../surrogate/index.js';
import { firstVariation, type OccupancyDivergence } from './divergences.js';

/** Divergences whose estimate is a mean over rows; the root of one is not. */
export type MeanDivergence = Exclude<OccupancyDivergence, 'sqrt-chi2'>;

export interface WeightedTerm {
  /** An unbiased estimate of the divergence from one completion; never negative. */
  readonly value: number;
  /** d value / d log π(y): the first variation, weighed by π/π_old. */
  readonly slope: number;
}

/**
 * The estimate of a divergence from one completion that an older policy may have drawn, with r = log π(y)/π_ref(y) and
 * i = log π(y)/π_old(y), both live, and f normalised to f'(1) = 0:
 *   value = (π_ref/π_old) f(ρ) = e^i φ(r);   slope = (π/π_old) f'(ρ)
 *   kl    φ = r + e^-r - 1         slope e^i r
 *   chi2  φ = e^r + e^-r - 2       slope e^i 2 (e^r - 1)
 *   tv    φ = |1 - e^-r|/2         slope e^i sign(r)/2
 * The values are those of the authors' estimators, control variate included. Theirs are differentiated with the samples
 * held; here the sample moves with its probability, so that the expected slope is the gradient of the expected value. For
 * r > clip the generator of χ² goes on as its tangent, which bounds its slope by that at clip.
 */
export function importanceTerm(
  divergence: MeanDivergence,
  {
    logratio,
    logImportance,
    clip,
  }: { readonly logratio: number; readonly logImportance: number; readonly clip: number },
): WeightedTerm {
  const { ratio, slope: live } = ratioOf(logImportance);
  const held = divergence === 'chi2' ? Math.min(logratio, clip) : logratio;
  const slope = live * firstVariation(divergence, Math.min(held, LARGEST_EXPONENT), 1);
  return { value: ratio * perDraw(divergence, logratio, clip), slope };
}

/** φ(r). */
function perDraw(divergence: MeanDivergence, logratio: number, clip: number): number {
  const r = Math.max(logratio, -LARGEST_EXPONENT);
  if (divergence === 'kl') return Math.expm1(-r) + r;
  if (divergence === 'tv') return Math.abs(Math.expm1(-r)) / 2;
  // e^-r f(u0) with u0 = e^clip, and f'(u0) times the rest of the way.
  if (r > clip) return Math.expm1(clip) * (2 - (Math.exp(clip) + 1) * Math.exp(-r));
  return 4 * Math.sinh(r / 2) ** 2;
}

/** Rows with log-probabilities of policy, reference and the policy that drew them, each [rows, tokens]. */
export interface ImportanceRows extends Grid {
  readonly logprobs: Float64Array;
  readonly referenceLogprobs: Float64Array;
  readonly oldLogprobs: Float64Array;
}

export interface ImportanceEstimate {
  /** [rows]: unbiased estimates of the divergence, and their derivatives by log π(y). */
  readonly values: Float64Array;
  readonly slopes: Float64Array;
  /** [rows]: r. */
  readonly logratios: Float64Array;
  /** Rows with r above clip. */
  readonly clipped: number;
}

/** `importanceTerm` of each row, on sums over its tokens. An empty completion is certain under both: 0. */
export function importanceEstimate(rows: ImportanceRows, divergence: MeanDivergence, clip: number): ImportanceEstimate {
  const logratios = rowDifferences(rows, rows.logprobs, rows.referenceLogprobs);
  const importances = rowDifferences(rows, rows.logprobs, rows.oldLogprobs);
  const terms = Array.from(logratios, (logratio, row) =>
    importanceTerm(divergence, { logratio, logImportance: importances[row]!, clip }),
  );
  return {
    values: Float64Array.from(terms, ({ value }) => value),
    slopes: Float64Array.from(terms, ({ slope }) => slope),
    logratios,
    clipped: divergence === 'chi2' ? logratios.filter((r) => r > clip).length : 0,
  };
}

export interface OccupancyRewardOptions {
  readonly divergence: OccupancyDivergence;
  /** Weight of the penalty in the units of the rewards; for `sqrt-chi2`, see `occupancyCoefficient`. */
  readonly coefficient: number;
  /** log ρ is held to this where χ² exponentiates it, at most 300. Default 10. */
  readonly clip?: number;
  /** sqrt(χ²) if it is known better than from these completions: a running mean, more samples. */
  readonly root?: number;
}

export interface OccupancyRewards {
  /** [rows]: reward - coefficient · penalty. */
  readonly rewards: Float64Array;
  /** [rows]: the first variation of the divergence at each completion. */
  readonly penalties: Float64Array;
  /** Estimate of the divergence itself, by the mean of φ: unbiased, but for the root. */
  readonly divergence: number;
}

/**
 * Rewards of completions of the policy less a penalty whose policy gradient is that of the divergence: REINFORCE, RLOO,
 * GRPO without its standard deviation, or PPO on these maximise E reward - coefficient · divergence. `logratios` [rows] are
 * log π(y)/π_ref(y), summed over tokens, of the policy that drew them.
 *   penalty   kl log ρ,  chi2 2(ρ-1),  sqrt-chi2 (ρ-1)/sqrt(χ²),  tv sign(ρ-1)/2
 * The penalty is no advantage yet; any baseline keeps its expected gradient. Where χ² is estimated from the same rows,
 * `sqrt-chi2` is consistent rather than unbiased. A NaN reward stays NaN.
 */
export function occupancyRewards(
  rewards: Float64Array,
  logratios: Float64Array,
  { divergence, coefficient, clip = 10, root }: OccupancyRewardOptions,
): OccupancyRewards {
  const mean = divergence === 'sqrt-chi2' ? 'chi2' : divergence;
  const average = total(logratios.map((r) => perDraw(mean, r, clip))) / divisor(logratios.length);
  const value = divergence === 'sqrt-chi2' ? (root ?? Math.sqrt(average)) : average;
  const held = (r: number) => (mean === 'chi2' ? Math.min(r, clip) : r);
  const penalties = logratios.map((r) => firstVariation(divergence, held(r), value));
  return {
    rewards: rewards.map((reward, row) => reward - coefficient * penalties[row]!),
    penalties,
    divergence: value,
  };
}
