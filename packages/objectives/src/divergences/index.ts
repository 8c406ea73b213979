export * from './alpha.js';
export {
  type Divergence,
  type DivergenceDefinition,
  defineDivergence,
  type ExactDivergence,
  isLink,
  type LinkDivergence,
  logOptimum,
} from './divergence.js';
export * from './forward-kl.js';
export { halfChi2PlusKl } from './half-chi2-plus-kl.js';
export * from './jensen-shannon.js';
export * from './neyman-chi2.js';
export { pearsonChi2 } from './pearson-chi2.js';
export {
  fDpoThrough,
  type LoggedRewards,
  type LogratioTransform,
  marginThrough,
  marginThroughTransform,
  type RatioTransform,
  ratioTransform,
} from './preference.js';
export * from './reverse-kl.js';
export * from './squared-hellinger.js';
export * from './through.js';
export * from './total-variation.js';
