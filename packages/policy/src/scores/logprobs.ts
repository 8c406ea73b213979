import type { Score } from '../score.js';

/** log p(y) = logit_y - log Σ exp logits;   dlogits = g (e_y - p) */
export const logprobs: Score = {
  name: 'logprobs',
  needsReference: false,
  value: ({ g, logp, targets }) => g.squeeze(g.gatherElements(logp, g.unsqueeze(targets, [1]), 1), [1]),
  dlogits: ({ g, logp, p, targets }, cotangent) => {
    const column = g.unsqueeze(cotangent, [1]);
    const index = g.unsqueeze(targets, [1]);
    // e_y - p, without a one-hot matrix: the realised entry of -g p is replaced by g (1 - p_y).
    const spread = g.mul(p(), g.neg(column));
    const realised = g.mul(column, g.sub(g.scalar(1), g.exp(g.gatherElements(logp, index, 1))));
    return g.emit('ScatterElements', [spread, index, realised], { axis: 1 })[0]!;
  },
};
