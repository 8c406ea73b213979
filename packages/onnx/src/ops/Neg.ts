import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = -x;   dx = -dy */
export const Neg = defineOp({
  opType: 'Neg',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ dy: [dy] }, g) => [g.neg(dy!)],
});
