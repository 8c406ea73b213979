import { logratio, times, total, weighted } from '../divergence-terms.js';
import type { Score } from '../score.js';

/** KL(q ‖ p) = Σ q (log q - log p), q the reference's distribution;   dlogits = g (p - q) */
export const forwardKl: Score = {
  name: 'forwardKl',
  needsReference: true,
  value: (c) => total(c.g, weighted(c, 'reference', c.g.neg(logratio(c)))),
  dlogits: ({ g, p, q }, cotangent) => times(g, g.sub(p(), q()), cotangent),
};
