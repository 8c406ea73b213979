import type { Score } from '../score.js';

/** log q(y), q the reference's distribution: what a score of the reference gives, in the pass that reads its distribution. */
export const referenceLogprobs: Score = {
  name: 'referenceLogprobs',
  needsReference: true,
  value: ({ g, logq, targets }) => g.squeeze(g.gatherElements(logq(), g.unsqueeze(targets, [1]), 1), [1]),
  // Nothing of it is the policy's.
  dlogits: ({ g, p }, _cotangent) => g.scale(p(), 0),
};
