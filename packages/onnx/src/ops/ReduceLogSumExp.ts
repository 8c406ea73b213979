import { defineOp } from '../op.js';
import { reducingMapped, reduction, unreduce } from './shared/reduce.js';

/** y = log Σ exp x;   dx = dy exp(x - y) */
export const ReduceLogSumExp = defineOp({
  opType: 'ReduceLogSumExp',
  inputs: ['differentiable', 'discrete'],
  infer: reducingMapped,
  vjp: (context, g) => {
    const x = context.inputs[0]!;
    const how = reduction(context, x.shape.length);
    const y = unreduce(g, context.outputs[0]!, how);
    return [g.mul(unreduce(g, context.dy[0]!, how), g.exp(g.sub(x, y)))];
  },
});
