import { defineOp } from '../op.js';
import { reducing, reduction, unreduce } from './shared/reduce.js';

/** y = Σ x;   dx = dy, spread */
export const ReduceSum = defineOp({
  opType: 'ReduceSum',
  inputs: ['differentiable', 'discrete'],
  infer: reducing,
  vjp: (context, g) => {
    const x = context.inputs[0]!;
    const how = reduction(context, x.shape.length);
    return [g.expandLike(unreduce(g, context.dy[0]!, how), x)];
  },
});
