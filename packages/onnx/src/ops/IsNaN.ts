import { defineOp } from '../op.js';
import { comparing } from './shared/infer.js';

/** y = x is no number */
export const IsNaN = defineOp({
  opType: 'IsNaN',
  inputs: ['discrete'],
  infer: comparing,
});
