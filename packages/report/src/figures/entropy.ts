import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { panelOf } from '../series.js';

/** How open the choice of the next token is. */
export const entropy: RunFigure = {
  name: 'entropy',
  order: 60,
  draw: ({ metrics }: Run) => ({
    name: 'entropy',
    title: 'Entropy',
    x: steps,
    panels: [
      panelOf(metrics, 'nats a token', [
        { key: 'entropy', name: 'nats a token' },
        { key: 'policy/entropy_avg', name: 'while training' },
      ]),
      panelOf(metrics, 'sampled surprise, nats a completion', [
        { key: 'objective/entropy', name: 'sampled surprise, nats a completion' },
      ]),
    ],
  }),
};
