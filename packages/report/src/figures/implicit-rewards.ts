import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { panelOf } from '../series.js';

/** Whether a margin comes from the chosen rising or the rejected falling. */
export const implicitRewards: RunFigure = {
  name: 'implicit-rewards',
  order: 13,
  draw: ({ metrics }: Run) => ({
    name: 'implicit-rewards',
    title: 'Chosen and rejected',
    x: steps,
    panels: [
      panelOf(metrics, 'reward', [
        { key: 'rewards/chosen', name: 'chosen' },
        { key: 'rewards/rejected', name: 'rejected' },
      ]),
      panelOf(metrics, 'log-probability of a completion', [
        { key: 'logps/chosen', name: 'chosen' },
        { key: 'logps/rejected', name: 'rejected' },
      ]),
    ],
  }),
};
