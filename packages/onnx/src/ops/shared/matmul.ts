import type { Builder, Value } from '../../builder.js';
import { broadcast } from '../../dims.js';
import type { Dim, Node, ValueType } from '../../graph.js';
import { unsupported } from './infer.js';

export interface Product {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
}

export function matmulShape(a: ValueType, b: ValueType, { transA, transB }: Product, node: Node): Dim[] {
  if (a.shape.length < 2 || b.shape.length < 2) throw unsupported(node, 'a product with a vector');
  const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2), node.name);
  return [...batch, a.shape.at(transA ? -1 : -2)!, b.shape.at(transB ? -2 : -1)!];
}

/** y = alpha op(a) op(b);   d op(a) = alpha dy op(b)ᵀ,  d op(b) = alpha op(a)ᵀ dy, transposed again where op transposes */
export function matmulVjp(
  g: Builder,
  a: Value,
  b: Value,
  dy: Value,
  wanted: readonly boolean[],
  { transA, transB, alpha }: Product,
): (Value | undefined)[] {
  const da = () =>
    transA ? g.matmul(b, dy, { transA: transB, transB: true, alpha }) : g.matmul(dy, b, { transB: !transB, alpha });
  const db = () => {
    // A plain matrix on the right takes its gradient in one product over all rows, where a Gemm can accumulate.
    if (b.shape.length === 2 && !transA) {
      const [rows, dRows] = [g.flatten2d(a), g.flatten2d(dy)];
      return transB
        ? g.gemm(dRows, rows, undefined, { transA: true, alpha })
        : g.gemm(rows, dRows, undefined, { transA: true, alpha });
    }
    return transB
      ? g.matmul(dy, a, { transA: true, transB: transA, alpha })
      : g.matmul(a, dy, { transA: !transA, alpha });
  };
  return [wanted[0] ? da() : undefined, wanted[1] ? db() : undefined];
}
