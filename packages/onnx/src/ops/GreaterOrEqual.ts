import { defineOp } from '../op.js';
import { comparing } from './shared/infer.js';

/** y = a >= b */
export const GreaterOrEqual = defineOp({
  opType: 'GreaterOrEqual',
  inputs: ['discrete'],
  infer: comparing,
});
