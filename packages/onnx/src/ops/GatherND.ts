import { product } from '../dims.js';
import { defineOp } from '../op.js';
import { unsupported } from './shared/infer.js';
import { addAt, reshapeFrom, reshapeLike, zeros } from './shared/shape.js';

/**
 * y_i = x[indices_i], each index a tuple;   dx: dy added into zeros at the indices
 * Tuples become positions in x with its indexed axes taken as one.
 */
export const GatherND = defineOp({
  opType: 'GatherND',
  opset: 11,
  inputs: ['differentiable', 'discrete'],
  infer: ([x, indices], { node, attributes }) => {
    const width = indices!.shape.at(-1)!;
    if (typeof width === 'string') throw unsupported(node, 'indices of unknown width');
    const batch = (attributes.batch_dims as number | undefined) ?? 0;
    return [{ dtype: x!.dtype, shape: [...indices!.shape.slice(0, -1), ...x!.shape.slice(batch + width)] }];
  },
  vjp: ({ node, attributes, inputs: [x, indices], dy: [dy] }, g) => {
    if ((attributes.batch_dims ?? 0) !== 0) throw unsupported(node, 'the gradient with batch_dims');
    const width = indices!.shape.at(-1) as number;
    const sizes = g.emit('Shape', [x], { start: 0, end: width })[0]!;
    // The remainder has the divisor's sign: negative indices count from the end.
    const tuple = g.emit('Mod', [indices, sizes])[0]!;
    const part = (of: typeof tuple, i: number) => g.gather(of, g.constant('int64', [], [i]), of.shape.length - 1);
    let position = part(tuple, 0);
    for (let i = 1; i < width; i++) position = g.add(g.mul(position, part(sizes, i)), part(tuple, i));
    const flat = reshapeFrom(g, zeros(g, x!), [product(x!.shape.slice(0, width)), ...x!.shape.slice(width)], [x!]);
    return [reshapeLike(g, addAt(g, flat, position, dy!, 0), x!)];
  },
});
