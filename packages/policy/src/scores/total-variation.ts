import { centred } from '../divergence-terms.js';
import type { Score, ScoreContext } from '../score.js';

const difference = ({ g, p, q }: ScoreContext) => g.sub(p(), q());

/** Σ |p - q| / 2;   dlogits = g p (s - E_p s) / 2,  s = sign(p - q), 0 where they are equal */
export const totalVariation: Score = {
  name: 'totalVariation',
  needsReference: true,
  value: (c) => c.g.scale(c.g.sum(c.g.emit('Abs', [difference(c)])[0]!, [1], false), 0.5),
  dlogits: (c, cotangent) => {
    const { g, p } = c;
    return centred(c, g.scale(g.mul(p(), g.emit('Sign', [difference(c)])[0]!), 0.5), cotangent);
  },
};
