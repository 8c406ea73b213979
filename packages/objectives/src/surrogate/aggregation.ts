import type { Totals } from '../input.js';
import type { Mean } from '../metrics.js';
import { divisor, type Grid, rowLengths, total } from '../numerics.js';

/**
 * How losses per token become one number. They are different objectives.
 *   tokens     mean over all completion tokens of the step: long completions weigh more (PPO, DAPO)
 *   rows       mean over rows of each row's mean: a token of a long completion weighs less (GRPO as published, GSPO)
 *   sums       mean over rows of each row's sum
 *   constant   Σ/(rows · tokenBudget): `sums` with another scale, one that no length enters (Dr. GRPO)
 */
export const aggregations = ['tokens', 'rows', 'sums', 'constant'] as const;
export type Aggregation = (typeof aggregations)[number];

export interface AggregationOptions {
  readonly aggregation: Aggregation;
  /** Whether a row without tokens counts among the rows (TRL, the default) or not (verl). */
  readonly countEmptyRows?: boolean;
  /** Of `constant`; 1 if absent. */
  readonly tokenBudget?: number;
}

/** Means over a step: what each row weighs in them, and what they divide by. */
export interface Aggregator {
  /** Σ_row factor_row Σ_t value / the step's count, of [rows, tokens] that are 0 where masked. */
  mean(values: Float64Array): { readonly loss: number; readonly metric: Mean };
  /** [rows]: d mean / d value, the same on each token of a row. */
  readonly weights: Float64Array;
}

/** Every divisor is at least 1, so that a batch without a token has loss 0. */
export function aggregator(
  grid: Grid & { readonly totals: Totals },
  { aggregation, countEmptyRows = true, tokenBudget = 1 }: AggregationOptions,
): Aggregator {
  const lengths = rowLengths(grid);
  const factors = lengths.map((length) => {
    if (aggregation === 'rows') return 1 / divisor(length);
    return aggregation === 'constant' ? 1 / tokenBudget : 1;
  });
  const [own, all] = countsOf(grid, lengths, aggregation, countEmptyRows);
  const step = divisor(all);
  return {
    weights: factors.map((factor) => factor / step),
    mean(values) {
      const sums = new Float64Array(grid.rows);
      values.forEach((value, at) => {
        sums[Math.floor(at / grid.tokens)]! += value;
      });
      const sum = total(sums.map((value, row) => factors[row]! * value));
      return { loss: sum / step, metric: { sum, count: own } };
    },
  };
}

/** What this input and the whole step are divided by. */
function countsOf(
  { rows, totals }: Grid & { readonly totals: Totals },
  lengths: Float64Array,
  aggregation: Aggregation,
  countEmptyRows: boolean,
): readonly [own: number, step: number] {
  if (aggregation === 'tokens') return [total(lengths), totals.scoredTokens];
  if (countEmptyRows) return [rows, totals.rows];
  return [lengths.filter((length) => length > 0).length, totals.nonEmptyRows];
}
