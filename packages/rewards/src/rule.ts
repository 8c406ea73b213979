import { type RowFailure, rowsFailed } from './error.js';
import { failureOf, leaf, type Reward, type RewardRow } from './reward.js';

/** A reward that reads one row at a time and needs no waiting. All rows that it refuses are told at once. */
export function rule(name: string, judgeRow: (row: RewardRow) => number): Reward {
  return leaf({
    name,
    async judge(rows) {
      const failures: RowFailure[] = [];
      const rewards = rows.map((row, at) => {
        try {
          return judgeRow(row);
        } catch (error) {
          failures.push(failureOf(row, at, error));
          return Number.NaN;
        }
      });
      if (failures.length > 0) throw rowsFailed(name, failures, rows.length);
      return { rewards };
    },
  });
}
