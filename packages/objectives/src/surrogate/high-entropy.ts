import { type Grid, rowLengths, total } from '../numerics.js';
import { quantile } from './rows.js';

/** [rows, tokens]: 1 on the completion tokens whose entropy is not below the (1 - share)-quantile of all of them. */
export function highEntropyTokens({ completionMask }: Grid, entropy: Float64Array, share: number): Float64Array {
  const threshold = quantile(
    entropy.filter((_, at) => completionMask[at]),
    1 - share,
  );
  return Float64Array.from(completionMask, (bit, at) => Number(bit === 1 && entropy[at]! >= threshold));
}

/** [rows, tokens]: advantages where kept, else 0: the token is learnt from no more, and still counts in every mean. */
export function keptAdvantages(advantages: Float64Array, kept: Float64Array): Float64Array {
  return advantages.map((advantage, at) => (kept[at] ? advantage : 0));
}

/** The share of completion tokens that is kept. */
export function keptFraction(grid: Grid, kept: Float64Array) {
  return { sum: total(kept), count: total(rowLengths(grid)) };
}
