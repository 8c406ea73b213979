import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { keysOf, panelOf } from '../series.js';

/** The loss with its terms, the gradient and the learning rate. */
export const loss: RunFigure = {
  name: 'loss',
  order: 45,
  draw({ metrics }: Run) {
    const terms = keysOf(metrics).filter((key) => key.startsWith('loss/') && !/value/.test(key));
    return {
      name: 'loss',
      title: 'Loss and update',
      x: steps,
      panels: [
        panelOf(metrics, 'loss', [{ key: 'loss' }, ...terms.map((key) => ({ key }))]),
        panelOf(metrics, 'norm of the gradient, before clipping', [
          { key: 'grad_norm', name: 'norm of the gradient, before clipping' },
        ]),
        panelOf(metrics, 'learning rate', [{ key: 'learning_rate', name: 'learning rate' }]),
      ],
    };
  },
};
