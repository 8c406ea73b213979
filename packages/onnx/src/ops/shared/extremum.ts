import type { Builder, Value } from '../../builder.js';
import type { VjpContext } from '../../op.js';

/** Gradient of a maximum or minimum of several values: to the first that attains it. */
export function firstAttained(
  { inputs, outputs: [y], dy: [dy], wanted }: VjpContext,
  g: Builder,
): (Value | undefined)[] {
  const zero = g.scalar(0, y!.dtype);
  let left = dy!;
  return inputs.map((x, i) => {
    const hit = g.equal(x!, y!);
    const dx = wanted[i] ? g.where(hit, left, zero) : undefined;
    if (i < inputs.length - 1) left = g.where(hit, zero, left);
    return dx;
  });
}
