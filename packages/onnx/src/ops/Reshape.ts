import { product, quotient } from '../dims.js';
import type { Dim } from '../graph.js';
import { defineOp } from '../op.js';
import { unknown, unsupported } from './shared/infer.js';
import { reshapeLike } from './shared/shape.js';

/** y = x in another shape: 0 copies a size unless allowzero, -1 is what is left;   dx = dy in the shape of x */
export const Reshape = defineOp({
  opType: 'Reshape',
  opset: 5,
  inputs: ['differentiable', 'discrete'],
  infer: ([x, target], context) => {
    const { node, attributes } = context;
    const given = context.constant(1);
    if (given === undefined) {
      const rank = target!.shape[0];
      if (typeof rank !== 'number') throw unsupported(node, 'a target of unknown rank');
      return [{ dtype: x!.dtype, shape: Array.from({ length: rank }, (_, i) => unknown(node, i)) }];
    }
    const copied = given.map((size, i): Dim => (size === 0 && attributes.allowzero !== 1 ? x!.shape[i]! : size));
    const open = given.indexOf(-1);
    if (open < 0) return [{ dtype: x!.dtype, shape: copied }];
    const left = quotient(product(x!.shape), product(copied.toSpliced(open, 1)));
    return [{ dtype: x!.dtype, shape: copied.with(open, left ?? unknown(node, open)) }];
  },
  vjp: ({ inputs: [x], dy: [dy] }, g) => [reshapeLike(g, dy!, x!)],
});
