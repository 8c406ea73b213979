import { defineOp } from '../op.js';
import { firstAttained } from './shared/extremum.js';
import { broadcasting } from './shared/infer.js';

/** y = min(a, b, ...);   dy goes to the first operand that is the smallest */
export const Min = defineOp({
  opType: 'Min',
  inputs: ['differentiable'],
  infer: broadcasting,
  vjp: firstAttained,
});
