import { defineOp } from '../op.js';
import { comparing } from './shared/infer.js';

/** y = a < b */
export const Less = defineOp({
  opType: 'Less',
  inputs: ['discrete'],
  infer: comparing,
});
