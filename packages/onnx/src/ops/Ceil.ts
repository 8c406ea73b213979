import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = ⌈x⌉; its slope is zero wherever it has one */
export const Ceil = defineOp({
  opType: 'Ceil',
  inputs: ['discrete'],
  infer: same,
});
