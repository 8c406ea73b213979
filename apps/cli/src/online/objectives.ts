import { getObjective, type Objective, objectives } from '@kelpie/objectives';

const named = (objective: string, about: Pick<Objective, 'name' | 'title' | 'summary' | 'paper'>): Objective => ({
  ...getObjective(objective),
  ...about,
});

/** Methods that are an objective on rows of files, taken to completions that the policy draws and rewards judge. */
const methods: readonly Objective[] = [
  named('dpo', {
    name: 'online-dpo',
    title: 'Online DPO',
    summary: 'DPO on the best and the worst of fresh completions of each prompt.',
    paper: 'Guo et al. 2024, arXiv:2402.04792',
  }),
  named('ipo', {
    name: 'online-ipo',
    title: 'Online IPO',
    summary: 'IPO on the best and the worst of fresh completions of each prompt.',
    paper: 'Calandriello et al. 2024, arXiv:2403.08635',
  }),
  named('sft', {
    name: 'best-of-n',
    title: 'Best-of-n distillation',
    summary: 'Raises the likelihood of the best of fresh completions of each prompt.',
    paper: 'Dong et al. 2023, arXiv:2304.06767 (RAFT)',
  }),
  named('superhf', {
    name: 'online-superhf',
    title: 'SuperHF',
    summary: 'Raises the likelihood of the best of fresh completions, held to the reference over the whole vocabulary.',
    paper: 'Mukobi et al. 2023, arXiv:2310.16763',
  }),
  named('nash-md', {
    name: 'online-nash-md',
    title: 'Online Nash-MD',
    summary: 'Follows how often a fresh completion is preferred to others of its prompt, held to the reference.',
    paper: 'Munos et al. 2023, arXiv:2312.00886',
  }),
];

/** Objectives that learn from fresh completions and what rewards say of them. */
export const onlineObjectives = (): Objective[] => [...Object.values(objectives).filter(isOnline), ...methods];

/** What rollouts tell of a completion besides its advantages, and a critic its returns. */
const told = ['rewards', 'groups', 'ranks', 'targetLogScores'];

/** It reads what only fresh completions have: advantages, who drew them, with which probability; and nothing they lack. */
export function isOnline(objective: Objective): boolean {
  const { rows, needs } = objective;
  const { old = [], perToken = [], perRow = [], batches = [] } = needs;
  if (methods.includes(objective)) return true;
  const duels = rows === 'pairs' && perRow.includes('external');
  const lacking = [
    ...perToken.filter((field) => field !== 'advantages' && field !== 'returns'),
    ...perRow.filter((field) => !told.includes(field) && !(duels && field === 'external')),
    ...batches,
  ];
  const fresh = duels || old.length > 0 || perToken.includes('advantages');
  return rows !== 'unpaired' && fresh && lacking.length === 0;
}
