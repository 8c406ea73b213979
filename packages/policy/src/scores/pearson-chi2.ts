import { centred, logratio, total, weightedExpm1 } from '../divergence-terms.js';
import type { Score, ScoreContext } from '../score.js';

/** p (p/q - 1) */
const terms = (c: ScoreContext) => weightedExpm1(c, 'policy', logratio(c));

/** Pearson's χ²(p ‖ q) = Σ p²/q - 1;   dlogits = 2 g p (p/q - 1 - χ²). Grows exponentially in the logratio. */
export const pearsonChi2: Score = {
  name: 'pearsonChi2',
  needsReference: true,
  value: (c) => total(c.g, terms(c)),
  dlogits: (c, cotangent) => centred(c, c.g.scale(terms(c), 2), cotangent),
};
