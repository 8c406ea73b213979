import type { Builder, Value } from '../../builder.js';
import type { Dim, Node } from '../../graph.js';
import type { Attributes, Op } from '../../op.js';
import { axisOf, unsupported } from './infer.js';

export interface Reduction {
  readonly axes: readonly number[];
  readonly keepdims: boolean;
}

interface Context {
  readonly node: Node;
  readonly attributes: Attributes;
  constant(input: number): readonly number[] | undefined;
}

/**
 * What is summed over: axes come as input 1 (opset 13 for ReduceSum, 18 for the others) or as an attribute before that.
 * None means all, unless `noop_with_empty_axes` says none.
 */
export function reduction(context: Context, rank: number): Reduction {
  const { node, attributes } = context;
  const given = node.inputs[1] ? context.constant(1) : ((attributes.axes as readonly number[] | undefined) ?? []);
  if (given === undefined) throw unsupported(node, 'a reduction over axes that are computed in the graph');
  const keepdims = attributes.keepdims !== 0;
  if (given.length === 0)
    return { axes: attributes.noop_with_empty_axes === 1 ? [] : [...Array(rank).keys()], keepdims };
  return { axes: given.map((axis) => axisOf(axis, rank, node)).sort((a, b) => a - b), keepdims };
}

export const reducing: Op['infer'] = ([x], context) => {
  const { axes, keepdims } = reduction(context, x!.shape.length);
  return [{ dtype: x!.dtype, shape: reduced(x!.shape, axes, keepdims) }];
};

/** As `reducing`, for operators that also map each element: ONNX releases differ on what "no reduction" leaves of that. */
export const reducingMapped: Op['infer'] = (inputs, context) => {
  if (context.attributes.noop_with_empty_axes === 1 && reduction(context, inputs[0]!.shape.length).axes.length === 0) {
    throw unsupported(context.node, 'noop_with_empty_axes without axes');
  }
  return reducing(inputs, context);
};

export function reduced(shape: readonly Dim[], axes: readonly number[], keepdims: boolean): Dim[] {
  return shape.flatMap((dim, i) => (axes.includes(i) ? (keepdims ? [1] : []) : [dim]));
}

/** Puts the reduced axes back as ones, so that the value broadcasts against what was reduced. */
export function unreduce(g: Builder, value: Value, { axes, keepdims }: Reduction): Value {
  return keepdims || axes.length === 0 ? value : g.unsqueeze(value, axes);
}

/** Gradient of a maximum or minimum: shared evenly among the elements that attain it. */
export function attained(g: Builder, x: Value, y: Value, dy: Value, how: Reduction): Value {
  const zero = g.scalar(0, x.dtype);
  const hit = g.equal(x, unreduce(g, y, how));
  const count = g.sum(g.cast(hit, x.dtype), how.axes, true);
  return g.where(hit, g.div(unreduce(g, dy, how), count), zero);
}
