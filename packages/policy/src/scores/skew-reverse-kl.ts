import { centred, logBlend, logratio, mean, weighted } from '../divergence-terms.js';
import type { Score, ScoreFamily } from '../score.js';

/**
 * Skewed KL of distillation, `skewReverseKl(s)` with 0 < s < 1. Ko et al. 2024, arXiv:2402.03898.
 *   D = KL(p ‖ m),  m = s p + (1-s) q;   dlogits = g p (h - E_p h),  h = log(p/m) + (1-s) q/m
 */
export const skewReverseKl: ScoreFamily = {
  family: 'skewReverseKl',
  of: (s): Score => ({
    name: `skewReverseKl(${s})`,
    needsReference: true,
    value: (c) => {
      const { g } = c;
      return mean(c, 'policy', g.neg(logBlend(g, s, g.neg(logratio(c)))));
    },
    dlogits: (c, cotangent) => {
      const { g } = c;
      const x = logratio(c);
      const logShare = g.neg(logBlend(g, s, g.neg(x)));
      const other = g.exp(g.neg(logBlend(g, 1 - s, x)));
      return centred(c, weighted(c, 'policy', g.add(logShare, g.scale(other, 1 - s))), cotangent);
    },
  }),
};
