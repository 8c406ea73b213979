import type { Attributes } from '../op.js';
import { defineOp } from '../op.js';

function productOf({ transA, transB, alpha, beta }: Attributes) {
  return {
    transA: transA === 1,
    transB: transB === 1,
    alpha: (alpha as number | undefined) ?? 1,
    beta: (beta as number | undefined) ?? 1,
  };
}

/** y = alpha op(a) op(b) + beta c, a and b matrices;   da = alpha dy op(b)ᵀ,  db = alpha op(a)ᵀ dy, transposed again;  dc = beta dy */
export const Gemm = defineOp({
  opType: 'Gemm',
  inputs: ['differentiable'],
  cheap: false,
  infer: ([a, b], { attributes }) => {
    const { transA, transB } = productOf(attributes);
    return [{ dtype: a!.dtype, shape: [a!.shape[transA ? 1 : 0]!, b!.shape[transB ? 0 : 1]!] }];
  },
  vjp: ({ inputs: [a, b, c], dy: [dy], wanted, attributes }, g) => {
    const { transA, transB, alpha, beta } = productOf(attributes);
    const da = () =>
      transA
        ? g.gemm(b!, dy!, undefined, { transA: transB, transB: true, alpha })
        : g.gemm(dy!, b!, undefined, { transB: !transB, alpha });
    const db = () =>
      transB
        ? g.gemm(dy!, a!, undefined, { transA: true, transB: transA, alpha })
        : g.gemm(a!, dy!, undefined, { transA: !transA, alpha });
    return [
      wanted[0] ? da() : undefined,
      wanted[1] ? db() : undefined,
      wanted[2] && c !== undefined ? g.scale(dy!, beta) : undefined,
    ];
  },
});
