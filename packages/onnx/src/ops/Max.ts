import { defineOp } from '../op.js';
import { firstAttained } from './shared/extremum.js';
import { broadcasting } from './shared/infer.js';

/** y = max(a, b, ...);   dy goes to the first operand that is the largest */
export const Max = defineOp({
  opType: 'Max',
  inputs: ['differentiable'],
  infer: broadcasting,
  vjp: firstAttained,
});
