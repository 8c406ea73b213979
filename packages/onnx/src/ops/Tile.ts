import { product } from '../dims.js';
import { defineOp } from '../op.js';
import { unknown, unsupported } from './shared/infer.js';
import { reshapeFrom, reshapeLike } from './shared/shape.js';

/** y = x repeated along each axis;   dx = dy summed over the repeats */
export const Tile = defineOp({
  opType: 'Tile',
  opset: 6,
  inputs: ['differentiable', 'discrete'],
  infer: ([x], { node, constant }) => {
    const repeats = constant(1);
    return [
      {
        dtype: x!.dtype,
        shape: x!.shape.map((dim, i) => (repeats === undefined ? unknown(node, i) : product([dim, repeats[i]!]))),
      },
    ];
  },
  vjp: ({ node, inputs: [x], dy: [dy], constant }, g) => {
    const repeats = constant(1);
    if (repeats === undefined) throw unsupported(node, 'the gradient of repeats that are computed in the graph');
    const apart = reshapeFrom(
      g,
      dy!,
      x!.shape.flatMap((dim, i) => [repeats[i]!, dim]),
      [x!],
    );
    return [
      reshapeLike(
        g,
        g.sum(
          apart,
          repeats.map((_, i) => 2 * i),
          false,
        ),
        x!,
      ),
    ];
  },
});
