import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = 1 / x;   dx = -dy y² */
export const Reciprocal = defineOp({
  opType: 'Reciprocal',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ outputs: [y], dy: [dy] }, g) => [g.neg(g.mul(dy!, g.mul(y!, y!)))],
});
