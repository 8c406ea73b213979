import { defineOp } from '../op.js';
import { axisOf } from './shared/infer.js';
import { addAt, zeros } from './shared/shape.js';

/** y = x[.., indices, ..] along axis;   dx: dy added into zeros at the indices */
export const Gather = defineOp({
  opType: 'Gather',
  inputs: ['differentiable', 'discrete'],
  infer: ([x, indices], { node, attributes }) => {
    const axis = axisOf((attributes.axis as number | undefined) ?? 0, x!.shape.length, node);
    return [{ dtype: x!.dtype, shape: [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)] }];
  },
  vjp: ({ node, attributes, inputs: [x, indices], dy: [dy] }, g) => {
    const axis = axisOf((attributes.axis as number | undefined) ?? 0, x!.shape.length, node);
    return [addAt(g, zeros(g, x!), indices!, dy!, axis)];
  },
});
