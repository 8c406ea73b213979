import { dots } from '../divergence-terms.js';
import type { Score } from '../score.js';

/**
 * H = -Σ p log p;   dlogits = -g p (log p + H)
 * Most runs log it each step, and a policy's logits are finite as its weights are: no pass over the vocabulary is spent on
 * banned tokens, which would give no number.
 */
export const entropy: Score = {
  name: 'entropy',
  needsReference: false,
  value: ({ g, logp, p }) => g.neg(dots(g, p(), logp)),
  dlogits: ({ g, logp, p }, cotangent) => {
    const h = g.neg(g.sum(g.mul(p(), logp), [1]));
    return g.neg(g.mul(g.mul(p(), g.unsqueeze(cotangent, [1])), g.add(logp, h)));
  },
};
