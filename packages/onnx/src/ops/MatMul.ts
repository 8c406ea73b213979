import { defineOp } from '../op.js';
import { matmulShape, matmulVjp } from './shared/matmul.js';

const plain = { transA: false, transB: false, alpha: 1 };

/** y = a b, batched over leading axes;   da = dy bᵀ,  db = aᵀ dy */
export const MatMul = defineOp({
  opType: 'MatMul',
  inputs: ['differentiable'],
  cheap: false,
  infer: ([a, b], { node }) => [{ dtype: a!.dtype, shape: matmulShape(a!, b!, plain, node) }],
  vjp: ({ inputs: [a, b], dy: [dy], wanted }, g) => matmulVjp(g, a!, b!, dy!, wanted, plain),
});
