export { type Advantages, type GaeOptions, gae } from './gae.js';
export {
  batchStd,
  type DeviationOptions,
  type GroupedRewards,
  groupMean,
  groupStd,
  informativeRows,
  leaveOneOut,
  lengthWeighted,
  normalizeBatch,
  normalizeThenSum,
  rowsByGroup,
} from './groups.js';
export { discountedReturns, reinforcePlusPlus, remax } from './returns.js';
export { momentsOf, type WhitenOptions, whiten } from './whiten.js';
