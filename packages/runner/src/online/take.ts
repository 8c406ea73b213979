import { bestAndWorstRows, bestRows, type Objective } from '@kelpie/objectives';

/**
 * Which completions are learnt from.
 *   all     every one
 *   best    the best of each group: best-of-n distillation, SuperHF
 *   pairs   the best of each group as chosen, the worst as rejected: online DPO
 */
export const takes = ['all', 'best', 'pairs'] as const;
export type Take = (typeof takes)[number];

/** What an objective is on: pairs if its rows are; the best ones if it knows no advantage. */
export function usualTake({ rows, needsOf }: Objective, objectiveOptions: Readonly<Record<string, unknown>>): Take {
  if (rows === 'pairs') return 'pairs';
  const { perToken = [], perRow = [] } = needsOf(objectiveOptions);
  const judged = perToken.includes('advantages') || perRow.some((field) => field === 'rewards');
  return rows === 'single' && !judged && !perRow.includes('targetLogScores') ? 'best' : 'all';
}

/** Row indices, those of a group in order; for `pairs` chosen and rejected in turns. */
export function taken(take: Take, rewards: Float64Array, groups: Int32Array): Int32Array {
  if (take === 'best') return bestRows(rewards, groups);
  return take === 'pairs' ? bestAndWorstRows(rewards, groups) : Int32Array.from(rewards.keys());
}
