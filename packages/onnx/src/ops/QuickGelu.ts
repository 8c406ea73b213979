import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = x σ(alpha x), alpha 1.702;   dx = dy s (1 + alpha x (1 - s)),  s = σ(alpha x) */
export const QuickGelu = defineOp({
  opType: 'QuickGelu',
  domain: 'com.microsoft',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x], dy: [dy], attributes }, g) => {
    const alpha = (attributes.alpha as number | undefined) ?? 1.702;
    const one = g.scalar(1, x!.dtype);
    const scaled = g.scale(x!, alpha);
    const s = g.sigmoid(scaled);
    return [g.mul(dy!, g.mul(s, g.add(one, g.mul(scaled, g.sub(one, s)))))];
  },
});
