import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = |x|;   dx = dy sign(x), zero at zero */
export const Abs = defineOp({
  opType: 'Abs',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x], dy: [dy] }, g) => [g.mul(dy!, g.emit('Sign', [x])[0]!)],
});
