import { defineOp } from '../op.js';
import { unknown } from './shared/infer.js';

/** y = start, start + delta, ... before limit */
export const Range = defineOp({
  opType: 'Range',
  opset: 11,
  inputs: ['unwritten', 'discrete', 'unwritten'],
  infer: ([start], { node, constant }) => {
    const [from, limit, delta] = [0, 1, 2].map((input) => constant(input)?.[0]);
    const known = from !== undefined && limit !== undefined && delta !== undefined;
    return [
      { dtype: start!.dtype, shape: [known ? Math.max(0, Math.ceil((limit - from) / delta)) : unknown(node, 0)] },
    ];
  },
});
