import { defineOp } from '../op.js';
import { axisOf, unknown } from './shared/infer.js';

/** y = values_1 where the position along the new axis is the index, values_0 elsewhere */
export const OneHot = defineOp({
  opType: 'OneHot',
  opset: 11,
  inputs: ['discrete', 'discrete', 'unwritten'],
  infer: ([indices, , values], { node, attributes, constant }) => {
    const axis = axisOf((attributes.axis as number | undefined) ?? -1, indices!.shape.length + 1, node);
    const depth = constant(1)?.[0] ?? unknown(node, axis);
    return [{ dtype: values!.dtype, shape: indices!.shape.toSpliced(axis, 0, depth) }];
  },
});
