import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = max(x, 0);   dx = dy where x > 0, else 0 */
export const Relu = defineOp({
  opType: 'Relu',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x], dy: [dy] }, g) => [g.where(g.greater(x!, g.scalar(0, x!.dtype)), dy!, g.scalar(0, x!.dtype))],
});
