import type { Attributes } from '../op.js';
import { defineOp } from '../op.js';
import { unsupported } from './shared/infer.js';
import { matmulShape, matmulVjp } from './shared/matmul.js';

function productOf({ transA, transB, alpha }: Attributes) {
  return { transA: transA === 1, transB: transB === 1, alpha: (alpha as number | undefined) ?? 1 };
}

/** y = alpha op(a) op(b), op transposing the last two axes;   da = alpha dy op(b)ᵀ,  db = alpha op(a)ᵀ dy, transposed again */
export const FusedMatMul = defineOp({
  opType: 'FusedMatMul',
  domain: 'com.microsoft',
  inputs: ['differentiable'],
  cheap: false,
  infer: ([a, b], { node, attributes }) => {
    if (attributes.transBatchA === 1 || attributes.transBatchB === 1) throw unsupported(node, 'transposing batch axes');
    return [{ dtype: a!.dtype, shape: matmulShape(a!, b!, productOf(attributes), node) }];
  },
  vjp: ({ inputs: [a, b], dy: [dy], wanted, attributes }, g) =>
    matmulVjp(g, a!, b!, dy!, wanted, productOf(attributes)),
});
