import type { Value } from '../builder.js';
import { sum } from '../dims.js';
import { defineOp } from '../op.js';
import { axisOf } from './shared/infer.js';

/** y = the inputs one after the other along axis;   dy is cut where they meet */
export const Concat = defineOp({
  opType: 'Concat',
  opset: 4,
  inputs: ['differentiable'],
  infer: (inputs, { node, attributes }) => {
    const [first] = inputs;
    const axis = axisOf(attributes.axis as number, first!.shape.length, node);
    const size = inputs.map((x) => x!.shape[axis]!).reduce((a, b) => sum(a, b));
    return [{ dtype: first!.dtype, shape: first!.shape.with(axis, size) }];
  },
  vjp: ({ node, attributes, inputs, dy: [dy], wanted }, g) => {
    const axis = axisOf(attributes.axis as number, dy!.shape.length, node);
    const xs = inputs as readonly Value[];
    const sizes = xs.map((x) => x.shape[axis]!);
    const lengths = sizes.every((size) => typeof size === 'number')
      ? g.ints(sizes)
      : g.concat(
          xs.map((x) => g.emit('Shape', [x], { start: axis, end: axis + 1 })[0]!),
          0,
        );
    const parts = g.emit('Split', [dy, lengths], { axis }, { outputs: xs.length });
    return xs.map((x, i) => (wanted[i] ? g.typed(parts[i]!, x.shape) : undefined));
  },
});
