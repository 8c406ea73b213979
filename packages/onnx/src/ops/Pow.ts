import { isFloat } from '../graph.js';
import { defineOp } from '../op.js';
import { broadcasting } from './shared/infer.js';

/**
 * y = x^b;   dx = dy b x^(b-1), zero where b = 0;   db = dy y log x, zero where x = 0 and b >= 0
 * The exponent may have a dtype of its own. Its gradient at a negative base does not exist and comes out as NaN.
 */
export const Pow = defineOp({
  opType: 'Pow',
  inputs: ['differentiable'],
  infer: broadcasting,
  vjp: ({ inputs, outputs: [y], dy: [dy], wanted, constant }, g) => {
    const x = inputs[0]!;
    const exponent = inputs[1]!;
    const zero = g.scalar(0, x.dtype);
    const base = () => {
      const known = constant(1);
      const n = known?.[0];
      if (n !== undefined && known!.every((other) => other === n)) {
        if (n === 0) return undefined;
        if (n === 1) return dy!;
        const power = n === 2 ? x : g.emit('Pow', [x, g.scalar(n - 1, x.dtype)])[0]!;
        // Multiplying by the exponent itself brings in its shape where it is the larger operand.
        return g.mul(dy!, g.mul(g.cast(exponent, x.dtype), power));
      }
      const b = g.cast(exponent, x.dtype);
      const slope = g.mul(b, g.emit('Pow', [x, g.sub(b, g.scalar(1, x.dtype))])[0]!);
      return g.mul(dy!, g.where(g.equal(b, zero), zero, slope));
    };
    const power = () => {
      if (!isFloat(exponent.dtype)) return undefined;
      const flat = g.and(g.equal(x, zero), g.emit('GreaterOrEqual', [exponent, g.scalar(0, exponent.dtype)])[0]!);
      return g.cast(g.mul(dy!, g.where(flat, zero, g.mul(y!, g.log(x)))), exponent.dtype);
    };
    return [wanted[0] ? base() : undefined, wanted[1] ? power() : undefined];
  },
});
