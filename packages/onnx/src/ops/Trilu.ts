import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = the upper (upper = 0: lower) triangle of each matrix from diagonal k on, zeros elsewhere;   dx = that triangle of dy */
export const Trilu = defineOp({
  opType: 'Trilu',
  opset: 14,
  inputs: ['differentiable', 'discrete'],
  infer: same,
  vjp: ({ inputs: [, k], dy: [dy], attributes }, g) => [
    g.emit('Trilu', k === undefined ? [dy] : [dy, k], { upper: attributes.upper as number | undefined })[0]!,
  ],
});
