import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = min(max(x, lo), hi);   dx = dy where lo <= x <= hi,  dlo = dy where x < lo,  dhi = dy where x > hi */
export const Clip = defineOp({
  opType: 'Clip',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs, dy: [dy], attributes, wanted }, g) => {
    const x = inputs[0]!;
    const zero = g.scalar(0, x.dtype);
    // Bounds are inputs from opset 11 on, attributes before.
    const bound = (input: number, attribute: number | undefined) =>
      inputs[input] ?? (attribute === undefined ? undefined : g.scalar(attribute, x.dtype));
    const low = bound(1, attributes.min as number | undefined);
    const high = bound(2, attributes.max as number | undefined);
    const under = low && g.less(x, low);
    const over = high && g.greater(x, high);
    const kept = under === undefined ? dy! : g.where(under, zero, dy!);
    return [
      wanted[0] ? (over === undefined ? kept : g.where(over, zero, kept)) : undefined,
      wanted[1] && under ? g.where(under, dy!, zero) : undefined,
      wanted[2] && over ? g.where(over, dy!, zero) : undefined,
    ];
  },
});
