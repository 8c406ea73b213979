import { defineOp } from '../op.js';
import { tanhGeluVjp } from './shared/gelu.js';
import { same } from './shared/infer.js';

/** y = z/2 (1 + tanh(√(2/π) (z + 0.044715 z³))), z = x + bias;   dx = dbias = dy times the slope at z */
export const FastGelu = defineOp({
  opType: 'FastGelu',
  domain: 'com.microsoft',
  inputs: ['differentiable'],
  infer: same,
  vjp: ({ inputs: [x, bias], dy: [dy] }, g) => {
    const dz = tanhGeluVjp(g, bias === undefined ? x! : g.add(x!, bias), dy!);
    return [dz, bias === undefined ? undefined : dz];
  },
});
