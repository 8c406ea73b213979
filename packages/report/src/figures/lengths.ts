import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { panelOf } from '../series.js';

/** How long completions are, and how many came to their end. */
export const lengths: RunFigure = {
  name: 'lengths',
  order: 50,
  draw: ({ metrics }: Run) => ({
    name: 'lengths',
    title: 'Lengths of completions',
    x: steps,
    panels: [
      panelOf(metrics, 'tokens; band: shortest to longest', [
        {
          key: 'completions/mean_length',
          name: 'mean',
          band: ['completions/min_length', 'completions/max_length'],
        },
        { key: 'completions/mean_terminated_length', name: 'mean of those that ended' },
      ]),
      panelOf(metrics, 'share that came to the end token', [
        { key: 'completions/clipped_ratio', name: 'share that came to the end token', as: (cut) => 1 - cut },
      ]),
    ],
  }),
};
