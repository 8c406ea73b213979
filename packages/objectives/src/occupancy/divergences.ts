import { type Divergence, pearsonChi2, reverseKl, totalVariation } from '../divergences/index.js';
import { pullback, sequenceLogprobs, type TablePolicy } from '../enumerable/index.js';

/**
 * Divergences between sequence occupancies, of the policy from the reference. A language model's state is the whole prefix,
 * so the occupancy of a finished completion is its probability, and ρ = π(y|x)/π_ref(y|x) needs no discriminator.
 *   kl         E_π log ρ
 *   chi2       E_ref (ρ-1)² = E_π ρ - 1
 *   sqrt-chi2  its root, what the correlation bound asks for
 *   tv         E_ref |ρ-1|/2
 * KL is the sum of the tokens' KLs along the policy. χ² is not: 1 + χ² = Σ_y π_ref(y) Π_t ρ_t², a product along the way,
 * so tokens' χ² added up are another divergence.
 */
export const occupancyDivergences = ['kl', 'chi2', 'sqrt-chi2', 'tv'] as const;
export type OccupancyDivergence = (typeof occupancyDivergences)[number];

/** The f-divergence, of which `sqrt-chi2` is the root. */
export function generatorOf(divergence: OccupancyDivergence): Divergence {
  if (divergence === 'kl') return reverseKl;
  return divergence === 'tv' ? totalVariation : pearsonChi2;
}

export interface ExactOccupancy {
  readonly value: number;
  /**
   * [outcomes]: the first variation w, of which Σ_y π(y) w(y) ∇log π(y) is the gradient. As the penalty of a completion it
   * makes a policy gradient descend the divergence.
   *   kl  log ρ     chi2  2(ρ-1)     sqrt-chi2  (ρ-1)/sqrt(χ²), 0 where χ² is 0     tv  sign(ρ-1)/2
   */
  readonly variation: Float64Array;
}

/** A divergence over listed completions, exactly; both are log-probabilities [outcomes], normalised. */
export function exactOccupancy(
  divergence: OccupancyDivergence,
  policy: Float64Array,
  reference: Float64Array,
): ExactOccupancy {
  const value = rooted(divergence, generatorOf(divergence).exact(policy, reference).value);
  // Where neither goes there is no ratio, and nothing to weigh.
  const logratios = policy.map((logprob, i) => (logprob === Number.NEGATIVE_INFINITY ? 0 : logprob - reference[i]!));
  return { value, variation: logratios.map((logratio) => firstVariation(divergence, logratio, value)) };
}

function rooted(divergence: OccupancyDivergence, value: number): number {
  return divergence === 'sqrt-chi2' ? Math.sqrt(Math.max(value, 0)) : value;
}

/** w at log ρ; `root` is sqrt(χ²), for `sqrt-chi2` alone. Constants, which move no gradient, are left out. */
export function firstVariation(divergence: OccupancyDivergence, logratio: number, root: number): number {
  if (divergence === 'kl') return logratio;
  if (divergence === 'tv') return Math.sign(logratio) / 2;
  if (divergence === 'chi2') return 2 * Math.expm1(logratio);
  return root === 0 ? 0 : Math.expm1(logratio) / root;
}

export interface TableOccupancy extends ExactOccupancy {
  /** [sequences]: log-probabilities of all completions under policy and reference. */
  readonly logprobs: Float64Array;
  readonly referenceLogprobs: Float64Array;
  /** [prefixes, vocabulary]: d divergence / d logits of the policy. */
  readonly gradient: Float64Array;
}

/** A divergence between all completions of two table policies, and its gradient at the logits of the first. */
export function tableOccupancy(
  divergence: OccupancyDivergence,
  policy: TablePolicy,
  reference: TablePolicy,
): TableOccupancy {
  const logprobs = sequenceLogprobs(policy);
  const referenceLogprobs = sequenceLogprobs(reference);
  const exact = exactOccupancy(divergence, logprobs, referenceLogprobs);
  return { ...exact, logprobs, referenceLogprobs, gradient: expectedGradient(policy, exact.variation) };
}

/** [prefixes, vocabulary]: E_π [w(y) ∇log π(y)] at the logits, over all completions; w is [sequences]. */
export function expectedGradient(policy: TablePolicy, weights: Float64Array): Float64Array {
  const { space } = policy;
  const mass = sequenceLogprobs(policy).map(Math.exp);
  const mean = mass.reduce((sum, p, i) => (p === 0 ? sum : sum + p * weights[i]!), 0);
  const cotangents = new Float64Array(space.sequences * space.length);
  for (let i = 0; i < space.sequences; i++) {
    const weight = mass[i] === 0 ? 0 : mass[i]! * (weights[i]! - mean);
    cotangents.fill(weight, i * space.length, (i + 1) * space.length);
  }
  const rows = Int32Array.from({ length: space.sequences }, (_, i) => i);
  return pullback(policy, rows, { logprobs: cotangents }).logits;
}
