import { defineOp } from '../op.js';
import { broadcastAll } from './shared/infer.js';

/** y = c ? a : b;   da = c ? dy : 0,  db = c ? 0 : dy */
export const Where = defineOp({
  opType: 'Where',
  inputs: ['discrete', 'differentiable', 'differentiable'],
  infer: (inputs, { node }) => [{ dtype: inputs[1]!.dtype, shape: broadcastAll(inputs, node) }],
  vjp: ({ inputs: [condition, a], dy: [dy], wanted }, g) => {
    const zero = g.scalar(0, a!.dtype);
    return [
      undefined,
      wanted[1] ? g.where(condition!, dy!, zero) : undefined,
      wanted[2] ? g.where(condition!, zero, dy!) : undefined,
    ];
  },
});
