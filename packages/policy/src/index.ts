export { Engine } from './engine.js';
export { KelpieError, messageOf, nearestNames } from './errors.js';
export { makeFolder, writeError } from './files/system-errors.js';
export { openTokenizer, type Tokenizer } from './files/tokenizer.js';
export { modelDimensions, modelTypes } from './model-folder.js';
export { openPolicy } from './remote.js';
export { referenceOf } from './soup.js';
export * from './tree.js';
export * from './types.js';
