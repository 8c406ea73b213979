import { defineOp } from '../op.js';
import { tanhGeluVjp } from './shared/gelu.js';
import { same } from './shared/infer.js';

/** y = x Φ(x), or with approximate = 'tanh' y = x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)));   dx = dy (Φ(x) + x φ(x)) */
export const Gelu = defineOp({
  opType: 'Gelu',
  opset: 20,
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x], dy: [dy], attributes }, g) => {
    if (attributes.approximate === 'tanh') return [tanhGeluVjp(g, x!, dy!)];
    const below = g.scale(g.add(g.erf(g.scale(x!, Math.SQRT1_2)), g.scalar(1, x!.dtype)), 0.5);
    const density = g.scale(g.exp(g.scale(g.mul(x!, x!), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return [g.mul(dy!, g.add(below, g.mul(x!, density)))];
  },
});
