import { sum } from '../dims.js';
import type { Dim } from '../graph.js';
import { defineOp, type VjpContext } from '../op.js';
import { axisOf, expression, unknown, unsupported } from './shared/infer.js';

/** Sizes put before and after each axis (negative: cut off), or undefined where they are computed in the graph. */
function padsOf({ node, attributes, constant }: Pick<VjpContext, 'node' | 'attributes' | 'constant'>, rank: number) {
  const given = node.inputs[1] ? constant(1) : (attributes.pads as readonly number[] | undefined);
  if (given === undefined) return undefined;
  const axes = node.inputs[3] ? constant(3)?.map((axis) => axisOf(axis, rank, node)) : [...Array(rank).keys()];
  if (axes === undefined) return undefined;
  const at = (axis: number, end: number) => (axes.includes(axis) ? given[axes.indexOf(axis) + end * axes.length]! : 0);
  return [...Array(rank).keys()].map((axis) => ({ before: at(axis, 0), after: at(axis, 1) }));
}

function padded(dim: Dim, by: number): Dim {
  if (typeof dim === 'number' || by >= 0) return sum(dim, by);
  return expression(`${dim}${by}`);
}

/** y = x with a constant put around it (mode 'constant');   dx = dy with as much cut off */
export const Pad = defineOp({
  opType: 'Pad',
  opset: 2,
  inputs: ['differentiable', 'discrete', 'unwritten', 'discrete'],
  infer: ([x], context) => {
    const pads = padsOf(context, x!.shape.length);
    const shape = x!.shape.map((dim, i) =>
      pads === undefined ? unknown(context.node, i) : padded(dim, pads[i]!.before + pads[i]!.after),
    );
    return [{ dtype: x!.dtype, shape }];
  },
  vjp: (context, g) => {
    const { node, attributes, inputs, dy } = context;
    const x = inputs[0]!;
    if ((attributes.mode ?? 'constant') !== 'constant')
      throw unsupported(node, `the gradient of mode '${String(attributes.mode)}'`);
    const pads = padsOf(context, x.shape.length);
    if (pads === undefined && inputs[3] !== undefined)
      throw unsupported(node, 'the gradient with computed pads of some axes');
    const back =
      pads === undefined
        ? g.neg(inputs[1]!)
        : g.ints([...pads.map(({ before }) => 0 - before), ...pads.map(({ after }) => 0 - after)]);
    return [g.typed(g.emit('Pad', [dy[0], back])[0]!, x.shape)];
  },
});
