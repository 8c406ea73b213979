import { pearsonChi2, reverseKl } from '../divergences/index.js';

/**
 * Divergences of action distributions at a state, the alternative that occupancy regularisation is compared with: Laidlaw et
 * al. 2024, arXiv:2403.03185. The loss is their mean over states, times 1/(1-γ) for a discount γ; for a language model, whose
 * γ is 1, use 1. Of a language model they are the tokens' divergences, which of KL add up to the sequence's and of χ² do not.
 */
export const actionDivergences = ['kl', 'chi2', 'sqrt-chi2'] as const;
export type ActionDivergence = (typeof actionDivergences)[number];

/** What χ² is held above before its root is taken; below there is no gradient. */
const floor = 1e-4;

export interface ActionPenalty {
  readonly value: number;
  /** [actions]: d value / d logits. */
  readonly gradient: Float64Array;
}

/**
 * At one state with a finite set of actions; both are log-probabilities [actions], normalised.
 *   kl KL(p ‖ q)    chi2 Σ (p-q)²/q    sqrt-chi2 sqrt(max(χ², 1e-4))
 */
export function categoricalActionPenalty(
  divergence: ActionDivergence,
  logprobs: Float64Array,
  referenceLogprobs: Float64Array,
): ActionPenalty {
  if (divergence === 'kl') return reverseKl.exact(logprobs, referenceLogprobs);
  const chi2 = pearsonChi2.exact(logprobs, referenceLogprobs);
  if (divergence === 'chi2') return chi2;
  return rootOf(chi2.value, [chi2.gradient], ([gradient]) => ({ gradient: gradient! }));
}

/** Independent normal actions at one state, each [dimensions]. */
export interface GaussianActions {
  readonly means: Float64Array;
  /** Standard deviations, positive. */
  readonly deviations: Float64Array;
}

export interface GaussianPenalty {
  readonly value: number;
  /** [dimensions]: d value / d mean and / d standard deviation of the policy; NaN where the value is infinite. */
  readonly meanGradient: Float64Array;
  readonly deviationGradient: Float64Array;
}

/**
 * The same between normal distributions, s1, m1 of the policy and s2, m2 of the reference:
 *   1 + χ² = Π s2²/(s1 sqrt(2 s2² - s1²)) exp((m1-m2)²/(2 s2² - s1²))
 *   KL     = Σ log(s2/s1) + (s1² + (m1-m2)²)/(2 s2²) - 1/2
 * χ² is infinite where 2 s2² <= s1² in a dimension: the policy's tail is too wide. The authors then take KL instead, which is
 * another loss of another scale, and in float32 with NaN gradients; `whenInfinite: 'kl'` takes it, with its own gradient.
 */
export function gaussianActionPenalty(
  divergence: ActionDivergence,
  policy: GaussianActions,
  reference: GaussianActions,
  { whenInfinite = 'infinite' }: { readonly whenInfinite?: 'infinite' | 'kl' } = {},
): GaussianPenalty {
  const kl = () => gaussianKl(policy, reference);
  if (divergence === 'kl') return kl();
  const chi2 = gaussianChi2(policy, reference);
  if (chi2.value === Number.POSITIVE_INFINITY) return whenInfinite === 'kl' ? kl() : chi2;
  if (divergence === 'chi2') return chi2;
  const { meanGradient, deviationGradient } = chi2;
  return rootOf(chi2.value, [meanGradient, deviationGradient], ([mean, deviation]) => ({
    meanGradient: mean!,
    deviationGradient: deviation!,
  }));
}

function rootOf<Gradients>(
  chi2: number,
  gradients: readonly Float64Array[],
  named: (scaled: readonly Float64Array[]) => Gradients,
): Gradients & { readonly value: number } {
  const slope = chi2 > floor ? 0.5 / Math.sqrt(chi2) : 0;
  return {
    ...named(gradients.map((gradient) => gradient.map((value) => slope * value))),
    value: Math.sqrt(Math.max(chi2, floor)),
  };
}

function gaussianChi2(policy: GaussianActions, reference: GaussianActions): GaussianPenalty {
  let log = 0;
  const slopes = Array.from(policy.means, (mean, i) => {
    const [s1, s2] = [policy.deviations[i]!, reference.deviations[i]!];
    const gap = mean - reference.means[i]!;
    const room = 2 * s2 ** 2 - s1 ** 2;
    if (!(room > 0)) {
      log = Number.POSITIVE_INFINITY;
      return { mean: Number.NaN, deviation: Number.NaN };
    }
    log += 2 * Math.log(s2) - Math.log(s1) - Math.log(room) / 2 + gap ** 2 / room;
    return { mean: (2 * gap) / room, deviation: s1 / room - 1 / s1 + (2 * s1 * gap ** 2) / room ** 2 };
  });
  const scale = Math.exp(log);
  const scaled = (slope: number) => (Number.isFinite(scale) ? scale * slope : Number.NaN);
  return {
    value: Math.expm1(log),
    meanGradient: Float64Array.from(slopes, ({ mean }) => scaled(mean)),
    deviationGradient: Float64Array.from(slopes, ({ deviation }) => scaled(deviation)),
  };
}

function gaussianKl(policy: GaussianActions, reference: GaussianActions): GaussianPenalty {
  const { means, deviations } = policy;
  const value = means.reduce((sum, mean, i) => {
    const [s1, s2] = [deviations[i]!, reference.deviations[i]!];
    return sum + Math.log(s2 / s1) + (s1 ** 2 + (mean - reference.means[i]!) ** 2) / (2 * s2 ** 2) - 0.5;
  }, 0);
  return {
    value,
    meanGradient: means.map((mean, i) => (mean - reference.means[i]!) / reference.deviations[i]! ** 2),
    deviationGradient: deviations.map((s1, i) => s1 / reference.deviations[i]! ** 2 - 1 / s1),
  };
}

/** Mean over states, times 1/(1-γ) where the authors' scale by the discount is wanted; γ = 1 has no such scale. */
export function discountedMean(values: ArrayLike<number>, gamma = 0): number {
  if (!(gamma >= 0 && gamma < 1)) throw new RangeError(`\`gamma\`: expected a number in [0, 1), got ${gamma}`);
  const sum = Array.from(values).reduce((so, value) => so + value, 0);
  return sum / Math.max(values.length, 1) / (1 - gamma);
}
