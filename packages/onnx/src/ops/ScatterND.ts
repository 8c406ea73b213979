import { defineOp } from '../op.js';
import { same, unsupported } from './shared/infer.js';
import { zeros } from './shared/shape.js';

/**
 * y = x, with y[indices_i] = updates_i, each index a tuple;   dx = dy, zeros at the indices;  dupdates = dy at the indices
 * reduction = 'add': y[..] += updates;   dx = dy.  Without it, indices must not repeat.
 */
export const ScatterND = defineOp({
  opType: 'ScatterND',
  opset: 11,
  inputs: ['differentiable', 'discrete', 'differentiable'],
  infer: same,
  vjp: ({ node, attributes, inputs: [, indices, updates], dy: [dy], wanted }, g) => {
    const reduction = attributes.reduction ?? 'none';
    if (reduction !== 'none' && reduction !== 'add')
      throw unsupported(node, `the gradient of reduction '${String(reduction)}'`);

    const kept = () => (reduction === 'add' ? dy! : g.emit('ScatterND', [dy, indices, zeros(g, updates!)])[0]!);
    return [wanted[0] ? kept() : undefined, undefined, wanted[2] ? g.emit('GatherND', [dy, indices])[0]! : undefined];
  },
});
