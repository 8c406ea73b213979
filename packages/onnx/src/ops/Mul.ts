import { defineOp } from '../op.js';
import { broadcasting } from './shared/infer.js';

/** y = a b;   da = dy b,  db = dy a */
export const Mul = defineOp({
  opType: 'Mul',
  inputs: ['differentiable'],
  infer: broadcasting,
  vjp: ({ inputs: [a, b], dy: [dy], wanted }, g) => [
    wanted[0] ? g.mul(dy!, b!) : undefined,
    wanted[1] ? g.mul(dy!, a!) : undefined,
  ],
});
