import type { Value } from '@kelpie/onnx';
import { centred, logBlend, logratio, mean, weighted } from '../divergence-terms.js';
import type { Score, ScoreContext, ScoreFamily } from '../score.js';

/** log(q/m), m = s q + (1-s) p; at most -log s */
const logShare = (c: ScoreContext, s: number): Value => c.g.neg(logBlend(c.g, s, logratio(c)));

/**
 * Skewed KL of distillation, `skewForwardKl(s)` with 0 < s < 1. Ko et al. 2024, arXiv:2402.03898.
 *   D = KL(q ‖ m),  m = s q + (1-s) p;   dlogits = g (1-s) p (E_p[q/m] - q/m)
 */
export const skewForwardKl: ScoreFamily = {
  family: 'skewForwardKl',
  of: (s): Score => ({
    name: `skewForwardKl(${s})`,
    needsReference: true,
    value: (c) => mean(c, 'reference', logShare(c, s)),
    dlogits: (c, cotangent) => {
      const shares = weighted(c, 'policy', c.g.exp(logShare(c, s)));
      return centred(c, c.g.scale(shares, s - 1), cotangent);
    },
  }),
};
