import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = √x;   dx = dy / 2y */
export const Sqrt = defineOp({
  opType: 'Sqrt',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ outputs: [y], dy: [dy] }, g) => [g.div(g.scale(dy!, 0.5), y!)],
});
