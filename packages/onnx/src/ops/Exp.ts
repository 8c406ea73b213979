import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = exp x;   dx = dy y */
export const Exp = defineOp({
  opType: 'Exp',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ outputs: [y], dy: [dy] }, g) => [g.mul(dy!, y!)],
});
