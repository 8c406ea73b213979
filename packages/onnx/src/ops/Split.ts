import { quotient } from '../dims.js';
import type { Dim } from '../graph.js';
import { defineOp, type InferContext } from '../op.js';
import { axisOf, unknown } from './shared/infer.js';
import { zeros } from './shared/shape.js';

/** Sizes of the parts: input 1 (opset 13), the attribute before that, else equal parts, the last one smaller (opset 18). */
function sizesOf({ node, attributes, constant }: InferContext, dim: Dim): Dim[] {
  const count = node.outputs.length;
  const given = node.inputs[1] ? constant(1) : (attributes.split as readonly number[] | undefined);
  if (given !== undefined) return [...given];
  if (node.inputs[1]) return node.outputs.map((name) => unknown({ ...node, outputs: [name] }, 0));
  if (typeof dim === 'string') {
    const part = quotient(dim, count);
    return node.outputs.map((_, i) => part ?? unknown(node, i));
  }
  const part = Math.ceil(dim / count);
  return node.outputs.map((_, i) => Math.min(part, dim - i * part));
}

/** y_1, y_2, ... = consecutive parts of x along axis;   dx = the dy one after the other, zeros where there is none */
export const Split = defineOp({
  opType: 'Split',
  opset: 2,
  inputs: ['differentiable', 'discrete'],
  infer: ([x], context) => {
    const axis = axisOf((context.attributes.axis as number | undefined) ?? 0, x!.shape.length, context.node);
    return sizesOf(context, x!.shape[axis]!).map((size) => ({ dtype: x!.dtype, shape: x!.shape.with(axis, size) }));
  },
  vjp: ({ attributes, inputs: [x], outputs, dy }, g) => {
    const parts = outputs.map((y, i) => dy[i] ?? zeros(g, y));
    return [g.typed(g.concat(parts, (attributes.axis as number | undefined) ?? 0), x!.shape)];
  },
});
