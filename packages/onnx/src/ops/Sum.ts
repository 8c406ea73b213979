import { defineOp } from '../op.js';
import { broadcasting } from './shared/infer.js';

/** y = a + b + ...;   da = db = ... = dy */
export const Sum = defineOp({
  opType: 'Sum',
  inputs: ['differentiable'],
  infer: broadcasting,
  vjp: ({ inputs, dy: [dy] }) => inputs.map(() => dy),
});
