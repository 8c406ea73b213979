import { badOption } from '../error.js';
import { derived, type Reward } from '../reward.js';

export interface Weighted {
  readonly reward: Reward;
  readonly weight: number;
}

/**
 * Σ weight · reward. A row that a member leaves unjudged is judged by the others (TRL's `nansum`), and is itself left
 * unjudged only if all do.
 */
export function weightedSum(terms: readonly Weighted[], { name = 'sum' }: { readonly name?: string } = {}): Reward {
  if (terms.length === 0) throw badOption(name, 'terms', 'at least one', terms);
  const infinite = terms.find(({ weight }) => !Number.isFinite(weight));
  if (infinite) throw badOption(name, 'weight', `a finite number for \`${infinite.reward.name}\``, infinite.weight);
  return derived({
    name,
    members: terms.map(({ reward }) => reward),
    abstains: terms.every(({ reward }) => reward.abstains),
    combine: (values) => {
      const weights = terms.map(({ weight }) => weight);
      return { rewards: values[0]!.map((_, row) => weightedOver(values, weights, row)) };
    },
  });
}

/** Σ weight · value of a row over the terms, [rows] each, that judged it; NaN if none did. */
export function weightedOver(terms: readonly Float64Array[], weights: readonly number[], row: number): number {
  const judged = terms.flatMap((term, at) => (Number.isNaN(term[row]) ? [] : weights[at]! * term[row]!));
  return judged.length === 0 ? Number.NaN : judged.reduce((sum, value) => sum + value, 0);
}
