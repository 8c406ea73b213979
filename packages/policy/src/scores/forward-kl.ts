import { logratio, mean, times } from '../divergence-terms.js';
import type { Score } from '../score.js';

/** KL(q ‖ p) = Σ q (log q - log p), q the reference's distribution;   dlogits = g (p - q) */
export const forwardKl: Score = {
  name: 'forwardKl',
  needsReference: true,
  // 0 less the sum, which costs no pass over the vocabulary and keeps a zero positive.
  value: (c) => c.g.sub(c.g.scalar(0), mean(c, 'reference', logratio(c))),
  dlogits: ({ g, p, q }, cotangent) => times(g, g.sub(p(), q()), cotangent),
};
