import { defineOp } from '../op.js';
import { same, unsupported } from './shared/infer.js';
import { zeros } from './shared/shape.js';

/**
 * y = x, with y_{indices_ij, j} = updates_ij (along axis);   dx = dy, zeros at the indices;  dupdates = dy at the indices
 * reduction = 'add': y[..] += updates;   dx = dy.  Without it, indices must not repeat.
 */
export const ScatterElements = defineOp({
  opType: 'ScatterElements',
  opset: 11,
  inputs: ['differentiable', 'discrete', 'differentiable'],
  infer: same,
  vjp: ({ node, attributes, inputs: [, indices, updates], dy: [dy], wanted }, g) => {
    const reduction = attributes.reduction ?? 'none';
    if (reduction !== 'none' && reduction !== 'add')
      throw unsupported(node, `the gradient of reduction '${String(reduction)}'`);
    const axis = (attributes.axis as number | undefined) ?? 0;
    const kept = () =>
      reduction === 'add' ? dy! : g.emit('ScatterElements', [dy, indices, zeros(g, updates!)], { axis })[0]!;
    return [
      wanted[0] ? kept() : undefined,
      undefined,
      wanted[2] ? g.emit('GatherElements', [dy, indices], { axis })[0]! : undefined,
    ];
  },
});
