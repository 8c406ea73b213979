import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { keysOf, panelOf, scaleOf } from '../series.js';

const together = ['values/mean', 'returns/mean'];

const isValue = (key: string) =>
  /value|returns|\bvf|vf_|critic|explained/.test(key) && !/clip|clamp/.test(key) && !together.includes(key);

/** How well the critic foretells returns. What is not values and returns has a unit of its own. */
export const values: RunFigure = {
  name: 'values',
  order: 75,
  draw: ({ metrics }: Run) => ({
    name: 'values',
    title: 'Value function',
    x: steps,
    panels: [
      panelOf(metrics, 'mean over tokens', [
        { key: 'values/mean', name: 'value' },
        { key: 'returns/mean', name: 'return' },
      ]),
      ...keysOf(metrics).flatMap((key) => (isValue(key) ? [scaleOf(panelOf(metrics, key, [{ key }]))] : [])),
    ],
  }),
};
