import { type Objective, objectives } from '@kelpie/objectives';

/** Objectives whose rows can stand in a file. */
export const offlineObjectives = (): Objective[] => Object.values(objectives).filter(isOffline);

/** Mismatched completions are made of the rows themselves; who wrote a completion, no file says. */
function isOffline({ rows, needs: { old = [], perRow = [], perToken = [], batches = [] } }: Objective): boolean {
  const others = [
    ...batches.filter((batch) => batch !== 'mismatched'),
    ...perRow.filter((field) => field === 'external'),
  ];
  return rows !== 'groups' && old.length + perToken.length + others.length === 0;
}
