import type { Value } from '../builder.js';
import { defineOp } from '../op.js';
import { reducing, reduction, unreduce } from './shared/reduce.js';

/** y = Σ x / n;   dx = dy / n, spread */
export const ReduceMean = defineOp({
  opType: 'ReduceMean',
  inputs: ['differentiable', 'discrete'],
  infer: reducing,
  vjp: (context, g) => {
    const x = context.inputs[0]!;
    const how = reduction(context, x.shape.length);
    const dy = unreduce(g, context.dy[0]!, how);
    const sizes = how.axes.map((axis) => x.shape[axis]!);
    if (sizes.every((dim) => typeof dim === 'number')) {
      return [g.expandLike(g.scale(dy, 1 / sizes.reduce((n, dim) => n * dim, 1)), x)];
    }
    const size = (of: Value) => g.cast(g.emit('Size', [of])[0]!, x.dtype);
    return [g.expandLike(g.mul(dy, g.div(size(dy), size(x))), x)];
  },
});
