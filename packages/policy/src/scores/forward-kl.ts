import type { Score } from '../score.js';

/** KL(q ‖ p) = Σ q (log q - log p), q the reference's distribution;   dlogits = g (p - q) */
export const forwardKl: Score = {
  name: 'forwardKl',
  needsReference: true,
  value: ({ g, logp, logq, q }) => g.sum(g.mul(q(), g.sub(logq(), logp)), [1], false),
  dlogits: ({ g, p, q }, cotangent) => g.mul(g.sub(p(), q()), g.unsqueeze(cotangent, [1])),
};
