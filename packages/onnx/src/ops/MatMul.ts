import { broadcast } from '../dims.js';
import { defineOp } from '../op.js';

/** y = a b, batched over leading axes;   da = dy bᵀ,  db = aᵀ dy */
export const MatMul = defineOp({
  opType: 'MatMul',
  opset: 1,
  inputs: ['differentiable'],
  cheap: false,
  infer: ([a, b], { node }) => {
    const batch = broadcast(a!.shape.slice(0, -2), b!.shape.slice(0, -2), node.name);
    return [{ dtype: a!.dtype, shape: [...batch, a!.shape.at(-2)!, b!.shape.at(-1)!] }];
  },
  vjp: ({ inputs: [a, b], dy: [dy], wanted }, g) => [
    wanted[0] ? g.matmul(dy!, b!, { transB: true }) : undefined,
    // A plain matrix on the right takes its gradient in one product over all rows, where a Gemm can accumulate.
    wanted[1] ? (b!.shape.length === 2 ? g.gemm(g.flatten2d(a!), g.flatten2d(dy!), undefined, { transA: true }) : g.matmul(a!, dy!, { transA: true })) : undefined,
  ],
});
