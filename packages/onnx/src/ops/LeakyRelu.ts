import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = x where x >= 0, else alpha x;   dx = dy where x >= 0, else alpha dy */
export const LeakyRelu = defineOp({
  opType: 'LeakyRelu',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x], dy: [dy], attributes }, g) => {
    const alpha = (attributes.alpha as number | undefined) ?? 0.01;
    return [g.where(g.less(x!, g.scalar(0, x!.dtype)), g.scale(dy!, alpha), dy!)];
  },
});
