import { defineOp } from '../op.js';
import { axisOf, unsupported } from './shared/infer.js';
import { reshapeLike } from './shared/shape.js';

/** y = x without the sizes of 1 at axes (an input from opset 13 on, an attribute before; all when absent);   dx = dy in the shape of x */
export const Squeeze = defineOp({
  opType: 'Squeeze',
  inputs: ['differentiable', 'discrete'],
  infer: ([x], { node, attributes, constant }) => {
    const { shape } = x!;
    const given = node.inputs[1] ? constant(1) : (attributes.axes as readonly number[] | undefined);
    if (given === undefined && (node.inputs[1] || shape.some((dim) => typeof dim === 'string'))) {
      throw unsupported(node, 'squeezing axes that only the run knows');
    }
    const axes = given?.map((axis) => axisOf(axis, shape.length, node));
    return [{ dtype: x!.dtype, shape: shape.filter((dim, i) => (axes === undefined ? dim !== 1 : !axes.includes(i))) }];
  },
  vjp: ({ inputs: [x], dy: [dy] }, g) => [reshapeLike(g, dy!, x!)],
});
