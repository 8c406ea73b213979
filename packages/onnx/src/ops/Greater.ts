import { defineOp } from '../op.js';
import { comparing } from './shared/infer.js';

/** y = a > b */
export const Greater = defineOp({
  opType: 'Greater',
  inputs: ['discrete'],
  infer: comparing,
});
