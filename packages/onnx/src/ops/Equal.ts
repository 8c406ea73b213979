import { defineOp } from '../op.js';
import { comparing } from './shared/infer.js';

/** y = a = b */
export const Equal = defineOp({
  opType: 'Equal',
  inputs: ['discrete'],
  infer: comparing,
});
