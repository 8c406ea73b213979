import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = log(1 + exp x);   dx = dy σ(x) */
export const Softplus = defineOp({
  opType: 'Softplus',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x], dy: [dy] }, g) => [g.mul(dy!, g.sigmoid(x!))],
});
