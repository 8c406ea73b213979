import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = x - log Σ exp x along axis;   dx = dy - exp(y) Σ dy */
export const LogSoftmax = defineOp({
  opType: 'LogSoftmax',
  opset: 13,
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ outputs: [y], dy: [dy], attributes }, g) => {
    const axis = (attributes.axis as number | undefined) ?? -1;
    return [g.sub(dy!, g.mul(g.exp(y!), g.sum(dy!, [axis])))];
  },
});
