import { isFloat } from '../graph.js';
import { defineOp } from '../op.js';
import { broadcasting } from './shared/infer.js';

/** y = a - b trunc(a / b) (fmod = 1), with the divisor's sign for integers (fmod = 0);   da = dy,  db = -dy trunc(a / b) */
export const Mod = defineOp({
  opType: 'Mod',
  opset: 10,
  inputs: ['differentiable'],
  infer: broadcasting,
  vjp: ({ inputs: [a, b], outputs: [y], dy: [dy], wanted }, g) =>
    isFloat(y!.dtype) ? [dy, wanted[1] ? g.mul(dy!, g.div(g.sub(y!, a!), b!)) : undefined] : [],
});
