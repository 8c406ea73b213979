import { defineOp } from '../op.js';
import { reducingMapped, reduction, unreduce } from './shared/reduce.js';

/** y = Σ x²;   dx = 2 x dy */
export const ReduceSumSquare = defineOp({
  opType: 'ReduceSumSquare',
  inputs: ['differentiable', 'discrete'],
  infer: reducingMapped,
  vjp: (context, g) => {
    const x = context.inputs[0]!;
    const how = reduction(context, x.shape.length);
    return [g.mul(g.scale(unreduce(g, context.dy[0]!, how), 2), x)];
  },
});
