import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = x;   dx = dy */
export const Identity = defineOp({
  opType: 'Identity',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ dy: [dy] }) => [dy],
});
