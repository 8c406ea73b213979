import type { Value } from '@kelpie/onnx';
import { centred, logBlend, logratio, total, weighted } from './divergence-terms.js';
import type { Score, ScoreContext } from './score.js';

/** p log(p/m) and q log(q/m), m = (1-b) p + b q */
function terms(c: ScoreContext, b: number): { readonly ofPolicy: Value; readonly ofReference: Value } {
  const { g } = c;
  const x = logratio(c);
  return {
    ofPolicy: weighted(c, 'policy', g.neg(logBlend(g, 1 - b, g.neg(x)))),
    ofReference: weighted(c, 'reference', g.neg(logBlend(g, b, x))),
  };
}

/** `factor` times the generalised Jensen-Shannon divergence. */
export function jensenShannon(name: Score['name'], b: number, factor = 1): Score {
  return {
    name,
    needsReference: true,
    value: (c) => {
      const { g } = c;
      const { ofPolicy, ofReference } = terms(c, b);
      return total(g, g.add(g.scale(ofReference, factor * b), g.scale(ofPolicy, factor * (1 - b))));
    },
    dlogits: (c, cotangent) => centred(c, c.g.scale(terms(c, b).ofPolicy, factor * (1 - b)), cotangent),
  };
}
