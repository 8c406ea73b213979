import type { Builder, Value } from '../../builder.js';
import { product, sameShape } from '../../dims.js';
import type { Dim } from '../../graph.js';
import { encodeTensor } from '../../tensor.js';

/** Zeros in the shape and dtype of `like`, whatever it holds (0 times infinity is not zero). */
export function zeros(g: Builder, like: Value): Value {
  const value = { type: 'tensor', value: encodeTensor('', like.dtype, [1], [0]) } as const;
  return g.typed(g.emit('ConstantOfShape', [g.shapeOf(like)], { value })[0]!, like.shape);
}

/** x in the shape of `like`, which holds as many elements though its sizes may go by other names. */
export function reshapeLike(g: Builder, x: Value, like: Value): Value {
  if (sameShape(x.shape, like.shape)) return x;
  if (product(x.shape) === product(like.shape)) return g.reshape(x, like.shape, like);
  return g.typed(g.emit('Reshape', [x, g.shapeOf(like)])[0]!, like.shape);
}

/** Reshape with any number of symbolic sizes: each is looked up among the sizes of `sources`. */
export function reshapeFrom(g: Builder, x: Value, shape: readonly Dim[], sources: readonly Value[]): Value {
  if (sameShape(x.shape, shape)) return x;
  const open = shape.filter((dim, i) => typeof dim !== 'number' && x.shape[i] !== dim);
  if (open.length <= 1 && product(shape) === product(x.shape)) return g.reshape(x, shape);
  const parts = shape.map((dim) => {
    if (typeof dim === 'number') return g.ints([dim]);
    for (const source of sources) {
      const at = source.shape.indexOf(dim);
      if (at >= 0) return g.emit('Shape', [source], { start: at, end: at + 1 })[0]!;
    }
    return g.ints([-1]);
  });
  return g.typed(g.emit('Reshape', [x, g.concat(parts, 0)])[0]!, shape);
}

/**
 * Adds dy into `into` at the indices along axis; dy has the axes of `indices` where `into` has the one.
 * By ScatterElements, which runs over repeated indices in order: ScatterND shares them out among threads, and its sums
 * differ from run to run.
 */
export function addAt(g: Builder, into: Value, indices: Value, dy: Value, axis: number): Value {
  const count = product(indices.shape);
  const updates = reshapeFrom(g, dy, into.shape.with(axis, count), [into]);
  const column = g.reshape(
    indices,
    into.shape.map((_, i) => (i === axis ? count : 1)),
  );
  const at = g.expandLike(column, updates);
  return g.emit('ScatterElements', [into, at, updates], { axis, reduction: 'add' })[0]!;
}
