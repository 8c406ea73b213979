import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { keysOf, panelOf, scaleOf } from '../series.js';

const isValue = (key: string) => /value|\bvf|vf_|critic|explained/.test(key) && !/clip|clamp/.test(key);

/** How well the critic foretells returns. Each in its own unit. */
export const values: RunFigure = {
  name: 'values',
  order: 75,
  draw: ({ metrics }: Run) => ({
    name: 'values',
    title: 'Value function',
    x: steps,
    panels: keysOf(metrics).flatMap((key) => (isValue(key) ? [scaleOf(panelOf(metrics, key, [{ key }]))] : [])),
  }),
};
