export {
  type GoldenBatch,
  type GoldenCase,
  type GoldenFile,
  type GoldenTensor,
  goldenError,
  goldenPairs,
  interleaved,
} from './golden.js';
export { lossOfPair, type PairLogratios, pairsOf, tableOf } from './pairs.js';
export { type Random, randomInput, randomOptions, seeded } from './random.js';
export { atReference, fillMasked, padTokens, takeUnits } from './rows.js';
export { type Check, testObjective } from './suite.js';
