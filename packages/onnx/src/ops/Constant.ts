import type { AttributeValue, ValueType } from '../graph.js';
import { defineOp } from '../op.js';
import { unsupported } from './shared/infer.js';

const types: Readonly<Record<string, (attribute: AttributeValue) => ValueType | undefined>> = {
  value: (a) => (a.type === 'tensor' ? { dtype: a.value.dtype, shape: a.value.dims } : undefined),
  value_float: () => ({ dtype: 'float32', shape: [] }),
  value_int: () => ({ dtype: 'int64', shape: [] }),
  value_floats: (a) => (a.type === 'floats' ? { dtype: 'float32', shape: [a.value.length] } : undefined),
  value_ints: (a) => (a.type === 'ints' ? { dtype: 'int64', shape: [a.value.length] } : undefined),
};

/** y = the value written in an attribute */
export const Constant = defineOp({
  opType: 'Constant',
  inputs: [],
  infer: (_, { node }) => {
    for (const [name, attribute] of Object.entries(node.attributes)) {
      const type = types[name]?.(attribute);
      if (type !== undefined) return [type];
    }
    throw unsupported(node, `a constant given as ${Object.keys(node.attributes).join(', ') || 'nothing'}`);
  },
});
