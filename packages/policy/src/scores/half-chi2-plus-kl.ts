import type { Value } from '@kelpie/onnx';
import { centred, logratio, total, weighted, weightedExpm1 } from '../divergence-terms.js';
import type { Score, ScoreContext } from '../score.js';

/** p (p/q - 1) and p log(p/q) */
function terms(c: ScoreContext): { readonly chi2: Value; readonly kl: Value } {
  const x = logratio(c);
  return { chi2: weightedExpm1(c, 'policy', x), kl: weighted(c, 'policy', x) };
}

/**
 * χ²(p ‖ q) / 2 + KL(p ‖ q), the divergence of χPO. Huang et al. 2024, arXiv:2407.13399.
 *   dlogits = g p (h - E_p h),  h = p/q + log(p/q)
 */
export const halfChi2PlusKl: Score = {
  name: 'halfChi2PlusKl',
  needsReference: true,
  value: (c) => {
    const { chi2, kl } = terms(c);
    return total(c.g, c.g.add(c.g.scale(chi2, 0.5), kl));
  },
  dlogits: (c, cotangent) => {
    const { chi2, kl } = terms(c);
    return centred(c, c.g.add(chi2, kl), cotangent);
  },
};
