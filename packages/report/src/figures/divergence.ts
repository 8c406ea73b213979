import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { panelOf, scaleOf } from '../series.js';

/** How far the policy is from its reference, by every measure that the run took. */
export const divergence: RunFigure = {
  name: 'divergence',
  order: 55,
  draw: ({ metrics }: Run) => ({
    name: 'divergence',
    title: 'Divergence from the reference',
    x: steps,
    panels: [
      panelOf(metrics, 'nats a completion', [
        { key: 'divergence/kl_exact', name: 'KL(policy ‖ reference)' },
        { key: 'divergence/kl_k1', name: 'k1' },
        { key: 'divergence/forward_kl', name: 'KL(reference ‖ policy)' },
        { key: 'objective/kl', name: 'objective/kl' },
      ]),
      scaleOf(panelOf(metrics, 'k3, nats a completion', [{ key: 'divergence/kl_k3', name: 'k3' }], { from: 4 })),
      scaleOf(
        panelOf(metrics, 'χ²(policy ‖ reference), sampled', [{ key: 'divergence/chi2', name: 'χ²' }], { from: 3 }),
      ),
    ],
  }),
};
