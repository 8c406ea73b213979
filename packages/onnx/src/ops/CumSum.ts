import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y_i = Σ_{j <= i} x_j along axis (j < i if exclusive, from the end if reverse);   dx: the same sum of dy from the other end */
export const CumSum = defineOp({
  opType: 'CumSum',
  opset: 11,
  inputs: ['differentiable', 'discrete'],
  infer: same,
  vjp: ({ inputs: [, axis], dy: [dy], attributes }, g) => [
    g.emit('CumSum', [dy, axis], {
      exclusive: attributes.exclusive as number | undefined,
      reverse: attributes.reverse === 1 ? 0 : 1,
    })[0]!,
  ],
});
