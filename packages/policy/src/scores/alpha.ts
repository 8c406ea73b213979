import { logratio, times, total, weightedExpm1 } from '../divergence-terms.js';
import type { Score, ScoreContext, ScoreFamily } from '../score.js';

/** p^(1-a) q^a - p */
const terms = (c: ScoreContext, a: number) => weightedExpm1(c, 'policy', c.g.scale(logratio(c), -a));

/**
 * The alpha divergence of f-DPO, `alpha(a)` with 0 < a < 1, towards KL(p ‖ q) at 0 and KL(q ‖ p) at 1. Wang et al. 2023,
 * arXiv:2309.16240.
 *   D = (1 - S) / (a (1 - a)),  S = Σ p^(1-a) q^a;   dlogits = g (p S - p^(1-a) q^a) / a, within [-1/a, 1/a]
 */
export const alpha: ScoreFamily = {
  family: 'alpha',
  of: (a): Score => ({
    name: `alpha(${a})`,
    needsReference: true,
    value: (c) => c.g.scale(total(c.g, terms(c, a)), -1 / (a * (1 - a))),
    dlogits: (c, cotangent) => {
      const { g, p } = c;
      const parts = terms(c, a);
      return times(g, g.scale(g.sub(g.mul(p(), g.sum(parts, [1])), parts), 1 / a), cotangent);
    },
  }),
};
