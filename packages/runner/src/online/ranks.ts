import { rowsByGroup } from '@kelpie/objectives';

/** [rows]: place in the group by reward, 0 the best; equal rewards tie, and what nobody judged takes no part, -1. */
export function ranksOf(rewards: Float64Array, groups: Int32Array): Int32Array {
  const ranks = new Int32Array(rewards.length);
  for (const rows of rowsByGroup(groups)) {
    for (const row of rows) {
      ranks[row] = Number.isNaN(rewards[row]!) ? -1 : rows.filter((other) => rewards[other]! > rewards[row]!).length;
    }
  }
  return ranks;
}
