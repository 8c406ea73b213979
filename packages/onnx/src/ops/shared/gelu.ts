import type { Builder, Value } from '../../builder.js';

/** dx of y = x/2 (1 + tanh u),  u = √(2/π) (x + 0.044715 x³):   dx = dy (1/2 (1 + t) + x/2 (1 - t²) u'),  t = tanh u */
export function tanhGeluVjp(g: Builder, x: Value, dy: Value): Value {
  const one = g.scalar(1, x.dtype);
  const c = Math.sqrt(2 / Math.PI);
  const xx = g.mul(x, x);
  const t = g.tanh(g.mul(x, g.add(g.scale(xx, 0.044715 * c), g.scalar(c, x.dtype))));
  const du = g.add(g.scale(xx, 3 * 0.044715 * c), g.scalar(c, x.dtype));
  const slope = g.add(g.add(t, one), g.mul(g.mul(x, du), g.sub(one, g.mul(t, t))));
  return g.mul(dy, g.scale(slope, 0.5));
}
