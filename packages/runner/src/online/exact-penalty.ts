import { distillation, type Grid, type Objective, type ScoreName, type Term } from '@kelpie/objectives';
import { pack, type ReferenceTable } from '../rows.js';
import type { OnlineOptions } from './options.js';
import { tokenMeanOf } from './slopes.js';

/**
 * Divergences D_t of the policy's next-token distribution p from the reference's q, over the whole vocabulary. Formulas and
 * gradients stand in the policy's `scores/`.
 */
export const exactPenaltyNames = [
  ...(['exact-reverse-kl', 'exact-forward-kl', 'exact-js', 'exact-jsd', 'exact-alpha', 'exact-pearson-chi2'] as const),
  ...(['exact-half-chi2-plus-kl', 'exact-neyman-chi2', 'exact-squared-hellinger', 'exact-total-variation'] as const),
  ...(['exact-skewed-forward-kl', 'exact-skewed-reverse-kl'] as const),
] as const;
export type ExactPenalty = (typeof exactPenaltyNames)[number];

type Options = Pick<OnlineOptions, 'penalty' | 'penaltyParameter'>;

export function isExact(penalty: string): penalty is ExactPenalty {
  return exactPenaltyNames.some((name) => name === penalty);
}

function distillationOptions({ penalty, penaltyParameter: parameter }: Options) {
  return { divergence: penalty.replace(/^exact-/, ''), beta: parameter, alpha: parameter, skew: parameter };
}

/** Scores that D_t is made of: one of the policy's divergences. */
export function exactScores(options: Options): ScoreName[] {
  return isExact(options.penalty) ? [...distillation.needsOf(distillationOptions(options) as object).policy] : [];
}

/** [rows, tokens]: D_t as it was measured of the policy that drew the rows. */
export function measuredPenalty(grid: Grid, old: ReferenceTable, options: Options): Float64Array | undefined {
  const [score] = exactScores(options);
  return score === undefined ? undefined : pack(grid, old[score as keyof ReferenceTable]!.flat());
}

/**
 * D_t in the loss, its gradient exact with what stands before a token held still, averaged as the objective averages the
 * advantages of its tokens: then the weight is in units of the reward a nat, as it is in the reward.
 */
export function exactTerm(
  options: Options,
  coef: number,
  objective: Objective,
  objectiveOptions: Readonly<Record<string, unknown>>,
): Term {
  const { aggregation, scale } = tokenMeanOf(objective, objectiveOptions);
  return {
    objective: distillation as unknown as Objective,
    options: { ...distillationOptions(options), aggregation },
    weight: coef * scale,
  };
}
