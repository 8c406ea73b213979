import { defineOp } from '../op.js';
import { zeros } from './shared/shape.js';

/** y_ij = x_{indices_ij, j} (along axis);   dx: dy added into zeros at the indices */
export const GatherElements = defineOp({
  opType: 'GatherElements',
  opset: 11,
  inputs: ['differentiable', 'discrete'],
  infer: ([x, indices]) => [{ dtype: x!.dtype, shape: indices!.shape }],
  vjp: ({ attributes, inputs: [x, indices], dy: [dy] }, g) => [
    g.emit('ScatterElements', [zeros(g, x!), indices, dy], {
      axis: (attributes.axis as number | undefined) ?? 0,
      reduction: 'add',
    })[0]!,
  ],
});
