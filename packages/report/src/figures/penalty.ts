import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { panelOf } from '../series.js';

/** What the penalty takes off the reward, and its weight. */
export const penalty: RunFigure = {
  name: 'penalty',
  order: 35,
  draw: ({ metrics }: Run) => ({
    name: 'penalty',
    title: 'Penalty',
    x: steps,
    panels: [
      panelOf(metrics, 'a completion', [
        { key: 'objective/scores', name: 'reward' },
        { key: 'objective/rlhf_reward', name: 'with the penalty' },
        { key: 'objective/non_score_reward', name: 'penalty' },
      ]),
      panelOf(metrics, 'weight of the penalty', [{ key: 'penalty/coefficient', name: 'weight of the penalty' }]),
    ],
  }),
};
