import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { keysOf, panelOf } from '../series.js';

/** Each reward that the sum is made of, in its own unit. */
export const rewardParts: RunFigure = {
  name: 'reward-parts',
  order: 30,
  draw: ({ metrics }: Run) => ({
    name: 'reward-parts',
    title: 'Parts of the reward',
    x: steps,
    panels: keysOf(metrics).flatMap((key) => {
      const name = /^rewards\/(.*)\/mean$/.exec(key)?.[1];
      return name === undefined ? [] : [panelOf(metrics, name, [{ key, name }])];
    }),
  }),
};
