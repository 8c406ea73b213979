import { defineOp } from '../op.js';
import { reducingMapped, reduction, unreduce } from './shared/reduce.js';

/**
 * y = log Σ exp x;   dx = dy e / Σ e,  e = exp(x - y)
 * Σ e is 1 but for the rounding of y, which grows with y: dividing by it takes that out again.
 */
export const ReduceLogSumExp = defineOp({
  opType: 'ReduceLogSumExp',
  inputs: ['differentiable', 'discrete'],
  infer: reducingMapped,
  vjp: (context, g) => {
    const x = context.inputs[0]!;
    const how = reduction(context, x.shape.length);
    const y = unreduce(g, context.outputs[0]!, how);
    const e = g.exp(g.sub(x, y));
    return [g.mul(e, g.div(unreduce(g, context.dy[0]!, how), g.sum(e, how.axes)))];
  },
});
