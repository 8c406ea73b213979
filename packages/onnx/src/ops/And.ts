import { defineOp } from '../op.js';
import { comparing } from './shared/infer.js';

/** y = a and b */
export const And = defineOp({
  opType: 'And',
  inputs: ['discrete'],
  infer: comparing,
});
