import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = -1, 0 or 1; its slope is zero wherever it has one */
export const Sign = defineOp({
  opType: 'Sign',
  inputs: ['discrete'],
  infer: same,
});
