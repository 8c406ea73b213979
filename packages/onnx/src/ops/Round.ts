import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = the nearest whole number, halves to the even one; its slope is zero wherever it has one */
export const Round = defineOp({
  opType: 'Round',
  inputs: ['discrete'],
  infer: same,
});
