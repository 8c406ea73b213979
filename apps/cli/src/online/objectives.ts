import { type Objective, objectives } from '@kelpie/objectives';

/** Objectives that learn from fresh completions and what rewards say of them. */
export const onlineObjectives = (): Objective[] => Object.values(objectives).filter(isOnline);

/** What rollouts tell of a completion besides its advantages, and a critic its returns. */
const told = ['rewards', 'groups', 'ranks', 'targetLogScores'];

/** It reads what only fresh completions have: advantages, who drew them, with which probability; and nothing they lack. */
export function isOnline({ rows, needs: { old = [], perToken = [], perRow = [], batches = [] } }: Objective): boolean {
  const duels = rows === 'pairs' && perRow.includes('external');
  const lacking = [
    ...perToken.filter((field) => field !== 'advantages' && field !== 'returns'),
    ...perRow.filter((field) => !told.includes(field) && !(duels && field === 'external')),
    ...batches,
  ];
  const fresh = duels || old.length > 0 || perToken.includes('advantages');
  return rows !== 'unpaired' && fresh && lacking.length === 0;
}
