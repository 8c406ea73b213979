import type { Score } from '../score.js';

/** S = log Σ p², at least -log vocabulary;   dlogits = 2 g p (p / Σ p² - 1) */
export const logSumSquares: Score = {
  name: 'logSumSquares',
  needsReference: false,
  value: ({ g, p }) => g.log(g.sum(g.mul(p(), p()), [1], false)),
  dlogits: ({ g, p }, cotangent) => {
    const squares = g.sum(g.mul(p(), p()), [1]);
    const share = g.sub(g.div(p(), squares), g.scalar(1));
    return g.mul(g.mul(p(), g.scale(g.unsqueeze(cotangent, [1]), 2)), share);
  },
};
