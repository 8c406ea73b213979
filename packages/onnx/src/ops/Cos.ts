import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = cos x;   dx = -dy sin x */
export const Cos = defineOp({
  opType: 'Cos',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x], dy: [dy] }, g) => [g.neg(g.mul(dy!, g.emit('Sin', [x])[0]!))],
});
