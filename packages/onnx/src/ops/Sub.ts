import { defineOp } from '../op.js';
import { broadcasting } from './shared/infer.js';

/** y = a - b;   da = dy,  db = -dy */
export const Sub = defineOp({
  opType: 'Sub',
  inputs: ['differentiable'],
  infer: broadcasting,
  vjp: ({ dy: [dy], wanted }, g) => [dy, wanted[1] ? g.neg(dy!) : undefined],
});
