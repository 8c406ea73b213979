import type { Attributes } from '../op.js';
import { defineOp } from '../op.js';

/** The order of axes; reversed when none is given. */
function order({ perm }: Attributes, rank: number): readonly number[] {
  return (perm as readonly number[] | undefined) ?? [...Array(rank).keys()].reverse();
}

/** y = x with axis i of y being axis perm_i of x;   dx = dy under the inverse permutation */
export const Transpose = defineOp({
  opType: 'Transpose',
  inputs: ['differentiable'],
  infer: ([x], { attributes }) => [
    { dtype: x!.dtype, shape: order(attributes, x!.shape.length).map((axis) => x!.shape[axis]!) },
  ],
  vjp: ({ inputs: [x], dy: [dy], attributes }, g) => {
    const perm = order(attributes, x!.shape.length);
    return [
      g.transpose(
        dy!,
        perm.map((_, i) => perm.indexOf(i)),
      ),
    ];
  },
});
