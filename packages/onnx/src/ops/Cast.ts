import { isFloat } from '../graph.js';
import { defineOp } from '../op.js';
import { DTYPES } from './shared/dtypes.js';
import { unsupported } from './shared/infer.js';

/** y = x in another dtype;   dx = dy in the dtype of x; zero from or to integers */
export const Cast = defineOp({
  opType: 'Cast',
  opset: 6,
  inputs: ['differentiable'],
  infer: ([x], { node, attributes }) => {
    const dtype = DTYPES[attributes.to as number];
    if (dtype === undefined) throw unsupported(node, `data type number ${String(attributes.to)}`);
    return [{ dtype, shape: x!.shape }];
  },
  vjp: ({ inputs: [x], outputs: [y], dy: [dy] }, g) => [
    isFloat(x!.dtype) && isFloat(y!.dtype) ? g.cast(dy!, x!.dtype) : undefined,
  ],
});
