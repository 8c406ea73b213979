import { logratio, times, total, weightedExpm1 } from '../divergence-terms.js';
import type { Score, ScoreContext } from '../score.js';

/** √(pq) - p */
const terms = (c: ScoreContext) => weightedExpm1(c, 'policy', c.g.scale(logratio(c), -0.5));

/** Σ (√p - √q)² = 2 (1 - C), C = Σ √(pq);   dlogits = g (p C - √(pq)) */
export const squaredHellinger: Score = {
  name: 'squaredHellinger',
  needsReference: true,
  value: (c) => c.g.scale(total(c.g, terms(c)), -2),
  dlogits: (c, cotangent) => {
    const { g, p } = c;
    const parts = terms(c);
    return times(g, g.sub(g.mul(p(), g.sum(parts, [1])), parts), cotangent);
  },
};
