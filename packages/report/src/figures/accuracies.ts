import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { panelOf } from '../series.js';

/** How often, and by how much, the chosen completion of a pair is above the rejected one. */
export const accuracies: RunFigure = {
  name: 'accuracies',
  order: 12,
  draw: ({ metrics }: Run) => ({
    name: 'accuracies',
    title: 'Chosen above rejected',
    x: steps,
    panels: [
      panelOf(metrics, 'share of pairs', [{ key: 'rewards/accuracies', name: 'share of pairs' }]),
      panelOf(metrics, 'margin', [{ key: 'rewards/margins', name: 'margin' }]),
    ],
  }),
};
