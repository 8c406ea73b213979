import type { ObjectiveInput } from '../input.js';
import { takeUnits } from '../testing/rows.js';

/**
 * The best row of each group, in the order of the groups: what best-of-n sampling keeps, and what SuperHF and RAFT fine-tune
 * on. The first of several best; rows with a NaN reward are never taken, nor a group of only such.
 */
export function bestRows(rewards: Float64Array, groups: Int32Array): Int32Array {
  return Int32Array.from(extremes(rewards, groups).map(({ best }) => best));
}

/**
 * Rows of pairs, best and worst of each group in turns, for DPO on fresh completions that a reward has judged. Guo et al.
 * 2024, arXiv:2402.04792: online DPO is `dpo` (or `ipo`, `slic`) on such pairs of two; of larger groups the two ends are
 * taken. A group in which nothing is better than something else is left out.
 */
export function bestAndWorstRows(rewards: Float64Array, groups: Int32Array): Int32Array {
  const pairs = extremes(rewards, groups).filter(({ best, worst }) => rewards[best]! > rewards[worst]!);
  return Int32Array.from(pairs.flatMap(({ best, worst }) => [best, worst]));
}

function extremes(rewards: Float64Array, groups: Int32Array): { readonly best: number; readonly worst: number }[] {
  const found = new Map<number, { best: number; worst: number }>();
  groups.forEach((group, row) => {
    if (Number.isNaN(rewards[row]!)) return;
    const seen = found.get(group) ?? { best: row, worst: row };
    found.set(group, {
      best: rewards[row]! > rewards[seen.best]! ? row : seen.best,
      worst: rewards[row]! < rewards[seen.worst]! ? row : seen.worst,
    });
  });
  return [...found.values()];
}

export interface JudgedPairs {
  /** The preferred one of each two above the other. */
  readonly input: ObjectiveInput;
  /** [rows]: from where each row was taken. */
  readonly order: Int32Array;
}

/**
 * Rows 2i and 2i + 1, two answers to one prompt in no order, as pairs by what a judge said: `firstWins` [pairs], 1 where the
 * first is preferred.
 */
export function judgedPairs(input: ObjectiveInput, firstWins: ArrayLike<number>): JudgedPairs {
  if (input.rows !== 2 * firstWins.length) {
    throw new RangeError(`expected a judgement for each two of ${input.rows} rows, got ${firstWins.length}`);
  }
  const order = Int32Array.from({ length: input.rows }, (_, row) => (firstWins[row >> 1] ? row : row ^ 1));
  return { input: takeUnits(input, 'single', [...order]), order };
}
