import { logratio, times, total, weightedExpm1 } from '../divergence-terms.js';
import type { Score, ScoreContext } from '../score.js';

/** q (q/p - 1) */
const terms = (c: ScoreContext) => weightedExpm1(c, 'reference', c.g.neg(logratio(c)));

/** Neyman's χ²(q ‖ p) = Σ q²/p - 1;   dlogits = g (p (1 + χ²) - q²/p). Grows exponentially in the logratio. */
export const neymanChi2: Score = {
  name: 'neymanChi2',
  needsReference: true,
  value: (c) => total(c.g, terms(c)),
  dlogits: (c, cotangent) => {
    const { g, p, q } = c;
    const parts = terms(c);
    const scaled = g.sub(g.mul(p(), g.sum(parts, [1])), parts);
    return times(g, g.add(g.sub(p(), q()), scaled), cotangent);
  },
};
