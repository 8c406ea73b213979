import type { ScalarScore } from '../score.js';

/** v = w · h, h the last hidden state before the token. Its gradient goes through the scalar head, not the logits. */
export const values: ScalarScore = {
  name: 'values',
  needsReference: false,
  scalar: true,
  value: (context) => context.scalar(),
};
