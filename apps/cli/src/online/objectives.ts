import { type Objective, objectives } from '@kelpie/objectives';

/** Objectives that learn from fresh completions and the advantages of their rewards, and from nothing that those lack. */
export const onlineObjectives = (): Objective[] => Object.values(objectives).filter(isOnline);

function isOnline({ rows, needs: { policy, perToken = [], perRow = [], batches = [] } }: Objective): boolean {
  const onlyAdvantages = perToken.length === 1 && perToken[0] === 'advantages';
  return rows === 'single' && onlyAdvantages && perRow.length + batches.length === 0 && !policy.includes('values');
}
