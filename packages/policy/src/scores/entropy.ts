import { centred, total, weighted } from '../divergence-terms.js';
import type { Score } from '../score.js';

/** H = -Σ p log p;   dlogits = -g p (log p + H) */
export const entropy: Score = {
  name: 'entropy',
  needsReference: false,
  value: (c) => c.g.neg(total(c.g, weighted(c, 'policy', c.logp))),
  dlogits: (c, cotangent) => centred(c, c.g.neg(weighted(c, 'policy', c.logp)), cotangent),
};
