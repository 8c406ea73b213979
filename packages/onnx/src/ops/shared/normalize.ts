import type { Builder, Value } from '../../builder.js';
import type { Dim, ValueType } from '../../graph.js';
import type { Op, VjpContext } from '../../op.js';
import { axisOf, unsupported } from './infer.js';

/** The axes from `axis` on. */
export function normalized(shape: readonly Dim[], axis: number): number[] {
  return shape.flatMap((_, i) => (i >= axis ? [i] : []));
}

/** One statistic for each normalized group: trailing sizes become 1. In float32, whatever the dtype of x. */
export function statistic(x: ValueType, axis: number): ValueType {
  return { dtype: 'float32', shape: x.shape.map((dim, i) => (i >= axis ? 1 : dim)) };
}

/** A statistic that the node emits, if it emits it in the precision of x. */
export function saved(outputs: readonly Value[], index: number, x: Value): Value | undefined {
  const value = outputs[index];
  return value !== undefined && value.name !== '' && value.dtype === x.dtype ? value : undefined;
}

export const rmsInfer: Op['infer'] = ([x], { node, attributes }) => {
  const axis = axisOf((attributes.axis as number | undefined) ?? -1, x!.shape.length, node);
  return [{ dtype: x!.dtype, shape: x!.shape }, statistic(x!, axis)];
};

/** y = x r scale, r = 1/√(mean x² + ε);   dx = r (dy scale - x̂ mean(dy scale x̂)),  x̂ = x r;   dscale = dy x̂ */
export function rmsVjp(
  { node, attributes, inputs: [x, scale], outputs, dy: [dy, dr], wanted }: VjpContext,
  g: Builder,
): (Value | undefined)[] {
  if (dr !== undefined) throw unsupported(node, 'a gradient through the inverse deviation');
  if (dy === undefined) return [];
  const axes = normalized(x!.shape, axisOf((attributes.axis as number | undefined) ?? -1, x!.shape.length, node));
  const epsilon = (attributes.epsilon as number | undefined) ?? 1e-5;
  const r =
    saved(outputs, 1, x!) ?? g.reciprocal(g.sqrt(g.add(g.mean(g.mul(x!, x!), axes), g.scalar(epsilon, x!.dtype))));
  const centred = g.mul(x!, r);
  const scaled = wanted[0] ? g.mul(dy, scale!) : undefined;
  return [
    scaled && g.mul(r, g.sub(scaled, g.mul(centred, g.mean(g.mul(scaled, centred), axes)))),
    wanted[1] ? g.mul(dy, centred) : undefined,
  ];
}
