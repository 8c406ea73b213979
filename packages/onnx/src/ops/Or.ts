import { defineOp } from '../op.js';
import { comparing } from './shared/infer.js';

/** y = a or b */
export const Or = defineOp({
  opType: 'Or',
  inputs: ['discrete'],
  infer: comparing,
});
