import { defineOp } from '../op.js';
import { unsupported } from './shared/infer.js';
import { zeros } from './shared/shape.js';

/** y_i = x[indices_i], each index a tuple;   dx: dy added into zeros at the indices */
export const GatherND = defineOp({
  opType: 'GatherND',
  opset: 11,
  inputs: ['differentiable', 'discrete'],
  infer: ([x, indices], { node, attributes }) => {
    const width = indices!.shape.at(-1)!;
    if (typeof width === 'string') throw unsupported(node, 'indices of unknown width');
    const batch = (attributes.batch_dims as number | undefined) ?? 0;
    return [{ dtype: x!.dtype, shape: [...indices!.shape.slice(0, -1), ...x!.shape.slice(batch + width)] }];
  },
  vjp: ({ node, attributes, inputs: [x, indices], dy: [dy] }, g) => {
    if ((attributes.batch_dims ?? 0) !== 0) throw unsupported(node, 'the gradient with batch_dims');
    return [g.emit('ScatterND', [zeros(g, x!), indices, dy], { reduction: 'add' })[0]!];
  },
});
