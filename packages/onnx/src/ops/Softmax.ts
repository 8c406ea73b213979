import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = exp x / Σ exp x along axis;   dx = y (dy - Σ y dy) */
export const Softmax = defineOp({
  opType: 'Softmax',
  opset: 13,
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ outputs: [y], dy: [dy], attributes }, g) => {
    const axis = (attributes.axis as number | undefined) ?? -1;
    return [g.mul(y!, g.sub(dy!, g.sum(g.mul(y!, dy!), [axis])))];
  },
});
