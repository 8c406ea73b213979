import { type Objective, objectives } from '@kelpie/objectives';

/** Objectives that learn from fresh completions and the advantages of their rewards. */
export const onlineObjectives = (): Objective[] => Object.values(objectives).filter(isOnline);

/** Per token it reads advantages, and of a critic returns and values; nothing that rollouts lack. */
export function isOnline({ rows, needs: { perToken = [], perRow = [], batches = [] } }: Objective): boolean {
  const others = perToken.filter((field) => field !== 'advantages' && field !== 'returns');
  return rows === 'single' && perToken.includes('advantages') && others.length + perRow.length + batches.length === 0;
}
