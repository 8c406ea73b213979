import { momentsOf } from '@kelpie/objectives';
import { badOption } from '../error.js';
import { derived, type Reward } from '../reward.js';

export interface EnsembleOptions {
  readonly name?: string;
  /** `mean`, `worst` (the lowest), or `cautious`: the mean less what the members disagree. Default `mean`. */
  readonly how?: 'mean' | 'worst' | 'cautious';
  /** λ of `cautious`. Default 0.5. */
  readonly caution?: number;
  /** What it takes off: λ times the variance, as published, or the deviation, in the unit of the rewards. Default `variance`. */
  readonly disagreement?: 'variance' | 'deviation';
}

/**
 * Several rewards of the same thing, on the same scale, as one. Coste et al. 2023, arXiv:2310.02743.
 *   mean       1/k Σ R_i
 *   worst      min R_i                          worst-case optimisation
 *   cautious   mean - λ variance, or mean - λ deviation   uncertainty-weighted optimisation; variance by k, over the members
 * `NAME/deviation` is a part: how far the members are from each other, which grows where a policy exploits one of them.
 * A row that a member leaves unjudged is left unjudged.
 */
export function ensemble(
  members: readonly Reward[],
  { name = 'ensemble', how = 'mean', caution = 0.5, disagreement = 'variance' }: EnsembleOptions = {},
): Reward {
  if (members.length < 2) throw badOption(name, 'members', 'at least 2', members.length);
  if (!(caution >= 0 && Number.isFinite(caution))) throw badOption(name, 'caution', 'a number >= 0', caution);
  return derived({
    name,
    members,
    parts: [`${name}/deviation`],
    combine(values, { rows }) {
      const moments = rows.map((_, row) =>
        momentsOf(
          Float64Array.from(values, (value) => value[row]!),
          false,
        ),
      );
      const rewards = moments.map(({ mean, variance }, row) => {
        if (how === 'mean') return mean;
        if (how === 'worst') return Math.min(...values.map((value) => value[row]!));
        return mean - caution * (disagreement === 'variance' ? variance : Math.sqrt(variance));
      });
      const deviation = Float64Array.from(moments, ({ variance }) => Math.sqrt(variance));
      return { rewards: Float64Array.from(rewards), parts: { [`${name}/deviation`]: deviation } };
    },
  });
}
