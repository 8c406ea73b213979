import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { keysOf, panelOf } from '../series.js';

const isClipping = (key: string) => /clip|clamp/.test(key) && !key.startsWith('completions/');

/** Shares of tokens whose ratio, divergence or value was held at an edge. */
export const clipping: RunFigure = {
  name: 'clipping',
  order: 70,
  draw: ({ metrics }: Run) => ({
    name: 'clipping',
    title: 'Clipping',
    x: steps,
    panels: [
      panelOf(
        metrics,
        'share',
        keysOf(metrics).flatMap((key) => (isClipping(key) ? [{ key }] : [])),
      ),
    ],
  }),
};
