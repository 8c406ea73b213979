import type { Score } from '../score.js';

/** KL(p ‖ q) = Σ p (log p - log q), q the reference's distribution;   dlogits = g p (log p - log q - KL) */
export const reverseKl: Score = {
  name: 'reverseKl',
  needsReference: true,
  value: ({ g, logp, p, logq }) => g.sum(g.mul(p(), g.sub(logp, logq())), [1], false),
  dlogits: ({ g, logp, p, logq }, cotangent) => {
    const logratio = g.sub(logp, logq());
    const kl = g.sum(g.mul(p(), logratio), [1]);
    return g.mul(g.mul(p(), g.unsqueeze(cotangent, [1])), g.sub(logratio, kl));
  },
};
