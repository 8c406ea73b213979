import { defineOp } from '../op.js';

/** y = the number of elements of x */
export const Size = defineOp({
  opType: 'Size',
  inputs: ['discrete'],
  infer: () => [{ dtype: 'int64', shape: [] }],
});
