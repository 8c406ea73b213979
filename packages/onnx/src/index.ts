export { Builder, type BuilderOptions, DTYPE_NUMBER, type Value } from './builder.js';
export { cut, type Halves, prune } from './cut.js';
export { type DifferentiateOptions, differentiate, type Joint } from './differentiate.js';
export { broadcast, product, quotient, sameShape, sum } from './dims.js';
export { OnnxError } from './errors.js';
export * from './graph.js';
export * from './op.js';
export { ops } from './registry.js';
export { decodeTensor, encodeTensor } from './tensor.js';
