import { type Objective, objectives } from '@kelpie/objectives';

/** Objectives whose rows can stand in a file. */
export const offlineObjectives = (): Objective[] => Object.values(objectives).filter(isOffline);

function isOffline({ rows, needs: { old = [], perToken = [], batches = [] } }: Objective): boolean {
  return rows !== 'groups' && old.length + perToken.length + batches.length === 0;
}
