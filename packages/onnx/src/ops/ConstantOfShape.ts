import { defineOp } from '../op.js';
import { unknown, unsupported } from './shared/infer.js';

/** y = one number (0 in float32 unless `value` says otherwise) in a given shape */
export const ConstantOfShape = defineOp({
  opType: 'ConstantOfShape',
  opset: 9,
  inputs: ['discrete'],
  infer: ([target], { node, constant }) => {
    const value = node.attributes.value;
    const dtype = value?.type === 'tensor' ? value.value.dtype : 'float32';
    const shape = constant(0);
    if (shape !== undefined) return [{ dtype, shape }];
    const rank = target!.shape[0];
    if (typeof rank !== 'number') throw unsupported(node, 'a shape of unknown rank');
    return [{ dtype, shape: Array.from({ length: rank }, (_, i) => unknown(node, i)) }];
  },
});
