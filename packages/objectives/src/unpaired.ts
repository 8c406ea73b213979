import type { Totals } from './input.js';
import type { Mean, Metrics } from './metrics.js';
import { divisor, type Grid, rowSums, spreadRows, total } from './numerics.js';
import type { CheckedInput, Evaluation } from './objective.js';
import { entropyMetric } from './pairs.js';

/** What every objective on labelled rows reads. */
export const unpairedNeeds = { policy: ['logprobs'], reference: ['logprobs'], perRow: ['labels'] } as const;
export type UnpairedInput = CheckedInput<typeof unpairedNeeds>;

/** Of one row: its loss, and the derivative by its implicit reward. */
export interface RowLoss {
  readonly loss: number;
  readonly slope: number;
}

/**
 * L = mean over the step's rows of loss(reward, label), reward = β Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   dL/dlogπ(y_t) = β mask_t/rows · dloss/dreward
 * `details`: `losses` and `implicitRewards`, [rows].
 */
export function evaluateUnpaired(
  input: UnpairedInput,
  { beta, implicitRewards }: { readonly beta: number; readonly implicitRewards: Float64Array },
  lossOf: (reward: number, desirable: boolean, row: number) => RowLoss,
): Evaluation & { readonly details: { readonly losses: Float64Array; readonly implicitRewards: Float64Array } } {
  const { labels } = input.perRow;
  const each = Array.from(implicitRewards, (reward, row) => lossOf(reward, labels[row] === 1, row));
  const losses = Float64Array.from(each, ({ loss }) => loss);
  const rows = divisor(input.totals.rows);
  const slopes = Float64Array.from(each, ({ slope }) => (beta * slope) / rows);
  return {
    loss: total(losses) / rows,
    metrics: unpairedMetrics(input, implicitRewards),
    cotangents: { logprobs: spreadRows(input, slopes) },
    details: { losses, implicitRewards },
  };
}

/**
 * What every objective on labelled rows logs, keys and meanings as TRL's: `chosen` are the desirable rows. The margin is
 * the mean of the one side minus the mean of the other, over the step; it is not there where a side is empty.
 */
export function unpairedMetrics(
  input: Pick<UnpairedInput, keyof Grid | 'policy' | 'perRow' | 'totals'>,
  implicitRewards: Float64Array,
): Metrics {
  const { labels } = input.perRow;
  const sequenceLogprobs = rowSums(input, input.policy.logprobs);
  const side = (values: Float64Array, label: number): Mean => {
    const taken = values.filter((_, row) => labels[row] === label);
    return { sum: total(taken), count: taken.length };
  };
  return {
    'rewards/chosen': side(implicitRewards, 1),
    'rewards/rejected': side(implicitRewards, 0),
    'rewards/margins': marginOfMeans(implicitRewards, labels, input.totals),
    'logps/chosen': side(sequenceLogprobs, 1),
    'logps/rejected': side(sequenceLogprobs, 0),
    ...entropyMetric(input),
  };
}

/** A mean over rows of ± value rows/rows_side: added up over the step, the difference of the means of both sides. */
function marginOfMeans(values: Float64Array, labels: Uint8Array, { rows, chosenRows }: Totals): Mean {
  const others = rows - chosenRows;
  if (chosenRows === 0 || others === 0) return { sum: 0, count: 0 };
  const shares = values.map((value, row) => value * (labels[row] === 1 ? rows / chosenRows : -rows / others));
  return { sum: total(shares), count: values.length };
}
