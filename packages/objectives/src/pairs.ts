import type { Scores } from './input.js';
import type { Mean, Metrics } from './metrics.js';
import { type Grid, rowLengths, rowSums, total } from './numerics.js';

/** [rows] interleaved, from a number per side of each pair. */
export function interleave(
  pairs: number,
  sides: (pair: number) => { readonly chosen: number; readonly rejected: number },
): Float64Array {
  const perRow = new Float64Array(2 * pairs);
  for (let pair = 0; pair < pairs; pair++) {
    const { chosen, rejected } = sides(pair);
    perRow[2 * pair] = chosen;
    perRow[2 * pair + 1] = rejected;
  }
  return perRow;
}

/** [pairs]: chosen minus rejected of a number per row. */
export function marginsOf(perRow: Float64Array): Float64Array {
  return Float64Array.from({ length: perRow.length / 2 }, (_, pair) => perRow[2 * pair]! - perRow[2 * pair + 1]!);
}

/**
 * What every objective on pairs logs, keys and meanings as TRL's. `implicitRewards` is [rows], beta times the summed
 * logratio. An accuracy counts a pair as right only if chosen is strictly above rejected. `scoredLogprobs` is [rows], what
 * `logps` tells: sums over tokens, unless the loss reads averages.
 */
export function pairMetrics(
  input: Grid & { readonly policy: Scores & { readonly logprobs: Float64Array } },
  implicitRewards: Float64Array,
  scoredLogprobs: Float64Array = rowSums(input, input.policy.logprobs),
): Metrics {
  const margins = marginsOf(implicitRewards);
  return {
    'rewards/chosen': sideMean(implicitRewards, 0),
    'rewards/rejected': sideMean(implicitRewards, 1),
    'rewards/margins': { sum: total(margins), count: margins.length },
    'rewards/accuracies': { sum: margins.filter((margin) => margin > 0).length, count: margins.length },
    'logps/chosen': sideMean(scoredLogprobs, 0),
    'logps/rejected': sideMean(scoredLogprobs, 1),
    ...entropyMetric(input),
  };
}

/** `entropy`, the mean over scored tokens, if the policy gave that score; else nothing. */
export function entropyMetric(input: Grid & { readonly policy: Scores }): Metrics {
  const { entropy } = input.policy;
  return entropy ? { entropy: { sum: total(rowSums(input, entropy)), count: total(rowLengths(input)) } } : {};
}

/** Mean of a number per row over the chosen side, 0, or the rejected one, 1. */
export function sideMean(perRow: Float64Array, side: 0 | 1): Mean {
  const values = perRow.filter((_, row) => row % 2 === side);
  return { sum: total(values), count: values.length };
}
