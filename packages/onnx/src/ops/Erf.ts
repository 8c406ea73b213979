import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = erf x = 2/√π ∫₀ˣ exp -t² dt;   dx = dy 2/√π exp -x² */
export const Erf = defineOp({
  opType: 'Erf',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x], dy: [dy] }, g) => [g.mul(dy!, g.scale(g.exp(g.neg(g.mul(x!, x!))), 2 / Math.sqrt(Math.PI)))],
});
