import { divisor, sigmoid, softplus, total } from '../numerics.js';

/**
 * How a discriminator d tells state-action pairs of the policy from those of the reference, where occupancies are no
 * products of known probabilities. Laidlaw et al. 2024, arXiv:2403.03185, as in their code.
 *   logistic     mean softplus(-d_π) + mean softplus(d_ref); at its optimum d = log μ_π/μ_ref
 *   tv           mean tanh(-d_π) + mean tanh(d_ref) + 0.01 (mean d_π² + mean d_ref²); d tends to its sign
 *   wasserstein  mean d_ref - mean d_π; d has to be held Lipschitz, by weights clipped to ±0.01 or a gradient penalty
 */
export const discriminatorKinds = ['logistic', 'tv', 'wasserstein'] as const;
export type DiscriminatorKind = (typeof discriminatorKinds)[number];

export interface DiscriminatorLoss {
  readonly loss: number;
  /** [current], [reference]: d loss / d score. */
  readonly currentSlopes: Float64Array;
  readonly referenceSlopes: Float64Array;
}

interface Side {
  loss(score: number): number;
  slope(score: number): number;
}

/** What keeps a score from growing without end where only its sign is told. */
const scorePenalty = 0.01;

/** The loss of one score of the reference; that of the policy's is the same at -d. */
const losses: Readonly<Record<DiscriminatorKind, Side>> = {
  logistic: { loss: softplus, slope: sigmoid },
  tv: {
    loss: (d) => Math.tanh(d) + scorePenalty * d * d,
    slope: (d) => 1 - Math.tanh(d) ** 2 + 2 * scorePenalty * d,
  },
  wasserstein: { loss: (d) => d, slope: () => 1 },
};

/** A discriminator's loss on its scores of both sides' pairs; a side without pairs adds 0. */
export function discriminatorLoss(
  kind: DiscriminatorKind,
  currentScores: Float64Array,
  referenceScores: Float64Array,
): DiscriminatorLoss {
  const { loss, slope } = losses[kind];
  const [current, reference] = [divisor(currentScores.length), divisor(referenceScores.length)];
  return {
    loss: total(currentScores.map((d) => loss(-d))) / current + total(referenceScores.map(loss)) / reference,
    currentSlopes: currentScores.map((d) => -slope(-d) / current),
    referenceSlopes: referenceScores.map((d) => slope(d) / reference),
  };
}

/**
 * What a step is charged for the discriminator's score d of it, as the authors do.
 *   kl           d
 *   chi2         e^d - 1: half the first variation of χ²
 *   sqrt-chi2    (e^d - 1)/sqrt(m), m the mean of e^d - 1 without its lowest and highest hundredth; unscaled where m <= 0
 *   tv           sign(d)
 *   wasserstein  d
 * By half its variation a coefficient of χ² counts half of what it does for the root, whose penalty is exact.
 */
export const penaltyKinds = ['kl', 'chi2', 'sqrt-chi2', 'tv', 'wasserstein'] as const;
export type PenaltyKind = (typeof penaltyKinds)[number];

export interface PenaltyOptions {
  readonly coefficient: number;
  /** What the penalty is held to on both sides. Default Infinity; 1 to 1000 by environment in the authors' runs. */
  readonly clip?: number;
}

export interface DiscriminatorRewards {
  /** [steps]: what is added to each step's reward. */
  readonly rewards: Float64Array;
  /** m, of `sqrt-chi2` alone; Infinity where a score overflows. */
  readonly trimmedChi2?: number;
  /** Steps whose penalty was not finite, and which go free. */
  readonly dropped: number;
}

/**
 * -coefficient · penalty, held to ±clip. Traps of the authors' code, kept so that their runs can be repeated:
 *   A penalty that is not finite counts as 0, so the steps furthest from the reference go free; they are counted here.
 *   One overflowing score of fewer than 100 makes m infinite and all other penalties of `sqrt-chi2` 0.
 * One is not kept: with fewer than 100 scores their trimmed slice is empty and every penalty vanishes; here nothing is
 * trimmed then.
 */
export function discriminatorRewards(
  kind: PenaltyKind,
  scores: Float64Array,
  { coefficient, clip = Number.POSITIVE_INFINITY }: PenaltyOptions,
): DiscriminatorRewards {
  const trimmedChi2 = kind === 'sqrt-chi2' ? trimmedMean(scores.map((d) => Math.expm1(d))) : undefined;
  const scale = trimmedChi2 !== undefined && !(trimmedChi2 <= 0) ? Math.sqrt(trimmedChi2) : 1;
  const penalties = scores.map((d) => penaltyOf(kind, d) / scale);
  return {
    rewards: penalties.map((penalty) => {
      const charged = Number.isFinite(penalty) ? -coefficient * penalty : 0;
      return Math.min(Math.max(charged, -clip), clip);
    }),
    dropped: penalties.filter((penalty) => !Number.isFinite(penalty)).length,
    ...(trimmedChi2 !== undefined && { trimmedChi2 }),
  };
}

function penaltyOf(kind: PenaltyKind, d: number): number {
  if (kind === 'tv') return Math.sign(d);
  return kind === 'kl' || kind === 'wasserstein' ? d : Math.expm1(d);
}

/** The mean without the lowest and the highest hundredth of the numbers. */
function trimmedMean(values: Float64Array): number {
  const cut = Math.floor(0.01 * values.length);
  const kept = values.toSorted().subarray(cut, values.length - cut);
  return total(kept) / divisor(kept.length);
}
