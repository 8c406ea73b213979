import { defineOp } from '../op.js';

/** y = the sizes of x, from axis `start` to before axis `end` */
export const Shape = defineOp({
  opType: 'Shape',
  inputs: ['discrete'],
  infer: ([x], { attributes }) => {
    const { start, end } = attributes as { start?: number; end?: number };
    return [{ dtype: 'int64', shape: [x!.shape.slice(start ?? 0, end).length] }];
  },
});
