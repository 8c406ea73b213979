import { defineOp } from '../op.js';
import { same } from './shared/infer.js';

/** y = x σ(alpha x), alpha 1.702;   dx = dy (s + alpha y (1 - s)),  s = σ(alpha x) */
export const QuickGelu = defineOp({
  opType: 'QuickGelu',
  domain: 'com.microsoft',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x], outputs: [y], dy: [dy], attributes }, g) => {
    const alpha = (attributes.alpha as number | undefined) ?? 1.702;
    const s = g.sigmoid(g.scale(x!, alpha));
    const rest = g.sub(g.scalar(1, x!.dtype), s);
    return [g.mul(dy!, g.add(s, g.mul(g.scale(y!, alpha), rest)))];
  },
});
