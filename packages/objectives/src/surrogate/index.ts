export { type Aggregation, type AggregationOptions, type Aggregator, aggregations, aggregator } from './aggregation.js';
export { klSettings, rewardClaims } from './claims.js';
export { type ClipOptions, type ClippedLoss, clippedLoss, type SurrogateLoss, softGateLoss } from './clip.js';
export { clippedSurrogate, clippedTerm, type SurrogateOptions } from './clipped.js';
export { highEntropyTokens, keptAdvantages, keptFraction } from './high-entropy.js';
export {
  type Importance,
  importances,
  logRatios,
  pullRatios,
  type Ratio,
  ratioOf,
  rowLogRatios,
} from './importance.js';
export { oldLogprobs, type PolicyInput, policyNeeds, policyNeedsOf } from './input.js';
export { type KlImportance, type KlTermOptions, klImportances, klTerm } from './kl-term.js';
export {
  aggregationOptions,
  budgetOptions,
  clipOptions,
  emptyRowOptions,
  entropyOptions,
  importanceOptions,
  klOptions,
  ratioOptions,
} from './options.js';
export { quantile, rowAdvantages, rowMeans, rowSumsOfClamped } from './rows.js';
export { entropyTerm, meanOf, sumTerms, type ValueOptions, valueTerm, weighRows, weightedTerm } from './terms.js';
