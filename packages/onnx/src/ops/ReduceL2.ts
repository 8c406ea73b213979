import { defineOp } from '../op.js';
import { reducingMapped, reduction, unreduce } from './shared/reduce.js';

/** y = √Σ x²;   dx = dy x / y, zero where y = 0 */
export const ReduceL2 = defineOp({
  opType: 'ReduceL2',
  inputs: ['differentiable', 'discrete'],
  infer: reducingMapped,
  vjp: (context, g) => {
    const x = context.inputs[0]!;
    const how = reduction(context, x.shape.length);
    const y = unreduce(g, context.outputs[0]!, how);
    const slope = g.mul(unreduce(g, context.dy[0]!, how), g.div(x, y));
    return [g.where(g.equal(y, g.scalar(0, x.dtype)), g.scalar(0, x.dtype), slope)];
  },
});
