import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = tanh x;   dx = dy (1 - y²) */
export const Tanh = defineOp({
  opType: 'Tanh',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ outputs: [y], dy: [dy] }, g) => [g.mul(dy!, g.sub(g.scalar(1, y!.dtype), g.mul(y!, y!)))],
});
