import { defineOp } from '../op.js';
import { comparing } from './shared/infer.js';

/** y = not x */
export const Not = defineOp({
  opType: 'Not',
  inputs: ['discrete'],
  infer: comparing,
});
