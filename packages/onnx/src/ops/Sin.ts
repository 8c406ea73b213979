import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = sin x;   dx = dy cos x */
export const Sin = defineOp({
  opType: 'Sin',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x], dy: [dy] }, g) => [g.mul(dy!, g.emit('Cos', [x])[0]!)],
});
