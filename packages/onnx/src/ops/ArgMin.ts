import { defineOp } from '../op.js';
import { axisOf } from './shared/infer.js';
import { reduced } from './shared/reduce.js';

/** y = the position of the smallest x along axis, the first of several */
export const ArgMin = defineOp({
  opType: 'ArgMin',
  inputs: ['discrete'],
  infer: ([x], { node, attributes }) => {
    const axis = axisOf((attributes.axis as number | undefined) ?? 0, x!.shape.length, node);
    return [{ dtype: 'int64', shape: reduced(x!.shape, [axis], attributes.keepdims !== 0) }];
  },
});
