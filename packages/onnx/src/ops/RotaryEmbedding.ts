import { defineOp } from '../op.js';

/**
 * Rotates each head of x [rows, tokens, heads * d] by the angles at `positions`, in halves or interleaved pairs:
 * y = R x;   dx = Rᵀ dy, which is the rotation by the negative angles: the same operator with -sin.
 */
export const RotaryEmbedding = defineOp({
  opType: 'RotaryEmbedding',
  domain: 'com.microsoft',
  inputs: ['differentiable', 'discrete', 'unwritten', 'unwritten'],
  infer: ([x]) => [x!],
  vjp: ({ inputs: [, positions, cos, sin], dy: [dy], node }, g) => [
    g.emit('RotaryEmbedding', [dy!, positions, cos, g.neg(sin!)], node.attributes, { domain: 'com.microsoft' })[0],
  ],
});
