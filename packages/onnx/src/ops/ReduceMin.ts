import { defineOp } from '../op.js';
import { attained, reducing, reduction } from './shared/reduce.js';

/** y = the smallest x;   dx = dy / k for each of the k elements that attain it */
export const ReduceMin = defineOp({
  opType: 'ReduceMin',
  inputs: ['differentiable', 'discrete'],
  infer: reducing,
  vjp: (context, g) => {
    const x = context.inputs[0]!;
    const how = reduction(context, x.shape.length);
    return [attained(g, x, context.outputs[0]!, context.dy[0]!, how)];
  },
});
