import { defineOp } from '../op.js';
import { axisOf, unsupported } from './shared/infer.js';
import { reshapeLike } from './shared/shape.js';

/** y = x with sizes of 1 put in at axes (an input from opset 13 on, an attribute before);   dx = dy in the shape of x */
export const Unsqueeze = defineOp({
  opType: 'Unsqueeze',
  inputs: ['differentiable', 'discrete'],
  infer: ([x], { node, attributes, constant }) => {
    const given = node.inputs[1] ? constant(1) : (attributes.axes as readonly number[] | undefined);
    if (given === undefined) throw unsupported(node, 'axes that are computed in the graph');
    const rank = x!.shape.length + given.length;
    const axes = given.map((axis) => axisOf(axis, rank, node));
    const left = [...x!.shape];
    return [{ dtype: x!.dtype, shape: Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : left.shift()!)) }];
  },
  vjp: ({ inputs: [x], dy: [dy] }, g) => [reshapeLike(g, dy!, x!)],
});
