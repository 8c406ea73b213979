import { centred, logratio, mean, weighted } from '../divergence-terms.js';
import type { Score } from '../score.js';

/** KL(p ‖ q) = Σ p (log p - log q), q the reference's distribution;   dlogits = g p (log p - log q - KL) */
export const reverseKl: Score = {
  name: 'reverseKl',
  needsReference: true,
  value: (c) => mean(c, 'policy', logratio(c)),
  dlogits: (c, cotangent) => centred(c, weighted(c, 'policy', logratio(c)), cotangent),
};
