import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = log x;   dx = dy / x */
export const Log = defineOp({
  opType: 'Log',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x], dy: [dy] }, g) => [g.div(dy!, x!)],
});
