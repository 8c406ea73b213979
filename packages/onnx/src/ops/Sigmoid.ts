import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = σ(x) = 1 / (1 + exp -x);   dx = dy y (1 - y) */
export const Sigmoid = defineOp({
  opType: 'Sigmoid',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ outputs: [y], dy: [dy] }, g) => [g.mul(dy!, g.mul(y!, g.sub(g.scalar(1, y!.dtype), y!)))],
});
