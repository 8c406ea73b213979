import { defineOp } from '../op.js';
import { broadcasting } from './shared/infer.js';

/** y = a / b;   da = dy / b,  db = -dy y / b */
export const Div = defineOp({
  opType: 'Div',
  inputs: ['differentiable'],
  infer: broadcasting,
  vjp: ({ inputs: [, b], outputs: [y], dy: [dy], wanted }, g) => {
    const da = g.div(dy!, b!);
    return [wanted[0] ? da : undefined, wanted[1] ? g.neg(g.mul(da, y!)) : undefined];
  },
});
