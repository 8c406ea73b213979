import { defineOp } from '../op.js';
import { broadcasting } from './shared/infer.js';

/** y = a + b;   da = db = dy */
export const Add = defineOp({
  opType: 'Add',
  inputs: ['differentiable'],
  infer: broadcasting,
  vjp: ({ dy: [dy] }) => [dy, dy],
});
