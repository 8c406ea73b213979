import { defineOp } from '../op.js';
import { reducingMapped, reduction, unreduce } from './shared/reduce.js';

/** y = Σ |x|;   dx = dy sign(x) */
export const ReduceL1 = defineOp({
  opType: 'ReduceL1',
  inputs: ['differentiable', 'discrete'],
  infer: reducingMapped,
  vjp: (context, g) => {
    const x = context.inputs[0]!;
    const how = reduction(context, x.shape.length);
    return [g.mul(unreduce(g, context.dy[0]!, how), g.emit('Sign', [x])[0]!)];
  },
});
