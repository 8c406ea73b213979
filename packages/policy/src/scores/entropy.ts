import type { Score } from '../score.js';

/** H = -Σ p log p;   dlogits = -g p (log p + H) */
export const entropy: Score = {
  name: 'entropy',
  needsReference: false,
  value: ({ g, logp, p }) => g.neg(g.sum(g.mul(p(), logp), [1], false)),
  dlogits: ({ g, logp, p }, cotangent) => {
    const h = g.neg(g.sum(g.mul(p(), logp), [1]));
    return g.neg(g.mul(g.mul(p(), g.unsqueeze(cotangent, [1])), g.add(logp, h)));
  },
};
