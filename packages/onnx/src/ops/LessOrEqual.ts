import { defineOp } from '../op.js';
import { comparing } from './shared/infer.js';

/** y = a <= b */
export const LessOrEqual = defineOp({
  opType: 'LessOrEqual',
  inputs: ['discrete'],
  infer: comparing,
});
