import { defineOp } from '../op.js';
import { comparing } from './shared/infer.js';

/** y = either a or b */
export const Xor = defineOp({
  opType: 'Xor',
  inputs: ['discrete'],
  infer: comparing,
});
