import { broadcast } from '../dims.js';
import { defineOp } from '../op.js';
import { unknown, unsupported } from './shared/infer.js';

/** y = x broadcast to a shape;   dx = dy, summed back */
export const Expand = defineOp({
  opType: 'Expand',
  opset: 8,
  inputs: ['differentiable', 'discrete'],
  infer: ([x, target], { node, constant }) => {
    const shape = constant(1);
    if (shape !== undefined) return [{ dtype: x!.dtype, shape: broadcast(x!.shape, shape, node.name) }];
    const length = target!.shape[0];
    if (typeof length !== 'number') throw unsupported(node, 'a target of unknown rank');
    const rank = Math.max(length, x!.shape.length);
    const own = (i: number) => x!.shape[x!.shape.length - rank + i] ?? 1;
    return [
      { dtype: x!.dtype, shape: Array.from({ length: rank }, (_, i) => (own(i) === 1 ? unknown(node, i) : own(i))) },
    ];
  },
  vjp: ({ dy: [dy] }) => [dy],
});
