import { product } from '../dims.js';
import { defineOp } from '../op.js';
import { axisOf } from './shared/infer.js';
import { reshapeFrom, zeros } from './shared/shape.js';

/**
 * y = x[.., indices, ..] along axis;   dx: dy added into zeros at the indices
 * By ScatterElements, which runs over repeated indices in order: ScatterND shares them out among threads.
 */
export const Gather = defineOp({
  opType: 'Gather',
  inputs: ['differentiable', 'discrete'],
  infer: ([x, indices], { node, attributes }) => {
    const axis = axisOf((attributes.axis as number | undefined) ?? 0, x!.shape.length, node);
    return [{ dtype: x!.dtype, shape: [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)] }];
  },
  vjp: ({ node, attributes, inputs: [x, indices], dy: [dy] }, g) => {
    const axis = axisOf((attributes.axis as number | undefined) ?? 0, x!.shape.length, node);
    const count = product(indices!.shape);
    const updates = reshapeFrom(
      g,
      dy!,
      x!.shape.map((dim, i) => (i === axis ? count : dim)),
      [x!],
    );
    const column = g.reshape(
      indices!,
      x!.shape.map((_, i) => (i === axis ? count : 1)),
    );
    return [
      g.emit('ScatterElements', [zeros(g, x!), g.expandLike(column, updates), updates], { axis, reduction: 'add' })[0]!,
    ];
  },
});
