import { bestAndWorstRows, bestRows, type Objective } from '@kelpie/objectives';
import { duels } from './opponents.js';
import type { Rollouts } from './rollouts.js';

/**
 * Which completions are learnt from.
 *   all     every one
 *   best    the best of each group: best-of-n distillation, SuperHF
 *   pairs   the best of each group as chosen, the worst as rejected: online DPO
 *   against-reference   each completion of the policy in a pair with one of the reference, half of a group's each: XPO
 */
export const takes = ['all', 'best', 'pairs', 'against-reference'] as const;
export type Take = (typeof takes)[number];

export const onPairs = (take: Take): boolean => take === 'pairs' || take === 'against-reference';

/** What an objective is on: pairs if its rows are, with the reference's completions where it asks for them; the best ones if it knows no advantage. */
export function usualTake({ rows, needsOf }: Objective, objectiveOptions: Readonly<Record<string, unknown>>): Take {
  const { perToken = [], perRow = [] } = needsOf(objectiveOptions);
  if (rows === 'pairs') return perRow.includes('external') ? 'against-reference' : 'pairs';
  const judged = perToken.includes('advantages') || perRow.some((field) => field === 'rewards');
  return rows === 'single' && !judged && !perRow.includes('targetLogScores') ? 'best' : 'all';
}

/** Row indices, those of a group in order; for `pairs` chosen and rejected in turns. */
export function taken(
  take: Take,
  rewards: Float64Array,
  { groups, external }: Pick<Rollouts, 'groups' | 'external'>,
): Int32Array {
  if (external !== undefined) return duels(rewards, groups, external);
  if (take === 'best') return bestRows(rewards, groups);
  return take === 'pairs' ? bestAndWorstRows(rewards, groups) : Int32Array.from(rewards.keys());
}
