import { defineOp } from '../op.js';
import { axisOf, unknown } from './shared/infer.js';
import { zeros } from './shared/shape.js';

/** values, indices = the k largest (largest = 0: smallest) of x along axis;   dx: dvalues at their indices, zeros elsewhere */
export const TopK = defineOp({
  opType: 'TopK',
  opset: 10,
  inputs: ['differentiable', 'discrete'],
  infer: ([x], { node, attributes, constant }) => {
    const axis = axisOf((attributes.axis as number | undefined) ?? -1, x!.shape.length, node);
    const shape = x!.shape.with(axis, constant(1)?.[0] ?? unknown(node, axis));
    return [
      { dtype: x!.dtype, shape },
      { dtype: 'int64', shape },
    ];
  },
  vjp: ({ attributes, inputs: [x], outputs: [, indices], dy: [dy] }, g) => {
    const axis = (attributes.axis as number | undefined) ?? -1;
    return [dy && g.emit('ScatterElements', [zeros(g, x!), indices, dy], { axis })[0]!];
  },
});
