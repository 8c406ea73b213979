import { broadcast } from '../../dims.js';
import { OnnxError } from '../../errors.js';
import type { Dim, Node, ValueType } from '../../graph.js';
import type { Op } from '../../op.js';

/** The shape and dtype of the first input. */
export const same: Op['infer'] = ([x]) => [{ dtype: x!.dtype, shape: x!.shape }];

/** The broadcast shape of all inputs, in the dtype of the first. */
export const broadcasting: Op['infer'] = (inputs, { node }) => [
  { dtype: inputs[0]!.dtype, shape: broadcastAll(inputs, node) },
];

/** The broadcast shape of all inputs, as truth values. */
export const comparing: Op['infer'] = (inputs, { node }) => [{ dtype: 'bool', shape: broadcastAll(inputs, node) }];

export function broadcastAll(inputs: readonly (ValueType | undefined)[], node: Node): readonly Dim[] {
  return inputs.reduce<readonly Dim[]>(
    (shape, x) => (x === undefined ? shape : broadcast(shape, x.shape, node.name)),
    [],
  );
}

/** A size that only the run knows, named after the node's output. */
export function unknown(node: Node, axis: number): Dim {
  return `${node.outputs[0] ?? node.name}.${axis}`;
}

/** A size as an expression; equal expressions are equal sizes. The product sign would be taken for a factor's. */
export function expression(text: string): Dim {
  return `(${text.replaceAll('*', '·')})`;
}

export function axisOf(axis: number, rank: number, node: Node): number {
  const out = axis < 0 ? axis + rank : axis;
  if (out < 0 || out >= Math.max(rank, 1)) {
    throw new OnnxError('axis', `${node.name}: axis ${axis} is outside a value of rank ${rank}`, {
      node: node.name,
      axis,
      rank,
    });
  }
  return out;
}

/** For a variant of an operator that has no rule here. */
export function unsupported(node: Node, what: string): OnnxError {
  return new OnnxError('unsupported', `${node.name}: ${what} has no rule in ops/${node.opType}.ts`, {
    node: node.name,
    opType: node.opType,
  });
}
