export * from './advantages/index.js';
export { expectedCalibrationError, preferenceCalibrationError } from './calibration-error.js';
export { getObjective, objectives, objectivesTable } from './catalog.js';
export { ontoSequences, predictionsOf, pullToLogits, scoresOfLogits, type TokenLogits } from './categorical.js';
export * from './claims.js';
export { confidenceWeighted, confidenceWeights } from './confidence-weighted.js';
export * from './distillation/index.js';
export * from './divergences/index.js';
export { ObjectiveError, type Problem, type ProblemCode, type Where } from './errors.js';
export * from './estimators/index.js';
export * from './games/index.js';
export { onHighEntropy } from './high-entropy.js';
export {
  addTotals,
  type BatchName,
  type Cotangents,
  checkInput,
  countTotals,
  type Expectation,
  isDivergence,
  type Needs,
  type ObjectiveInput,
  type ObjectiveState,
  type RowField,
  type RowKind,
  type RowTable,
  type ScoredBatch,
  type ScoreName,
  type Scores,
  scoreFamilies,
  scoreNames,
  scoresIn,
  type TokenField,
  type TokenTable,
  type Totals,
} from './input.js';
export { lengthDesensitized, sharedLengthWeights } from './length-desensitized.js';
export * from './margin-losses.js';
export * from './matching/index.js';
export { type Mean, type Metrics, meanMetrics, mergeMetrics } from './metrics.js';
export {
  divisor,
  type Grid,
  LARGEST_EXPONENT,
  log1mexp,
  logSigmoid,
  logSoftmax,
  rowDifferences,
  rowLengths,
  rowSums,
  sigmoid,
  softplus,
  spreadRows,
  total,
} from './numerics.js';
export {
  type CheckedInput,
  type Detached,
  defineObjective,
  type Evaluation,
  type Objective,
  type ObjectiveDefinition,
} from './objective.js';
export * from './objectives/index.js';
export * from './occupancy/index.js';
export type { OptionInfo } from './options.js';
export {
  type Average,
  definePairObjective,
  evaluatePairs,
  type PairLoss,
  type PairRule,
  type PairScores,
} from './pair-objective.js';
export * from './posterior/index.js';
export { type PlackettLuceOptions, plackettLuceLoss, type Ties } from './ranking.js';
export { klAdvantages } from './sampled-kl.js';
export * from './selection/index.js';
export * from './shaping/index.js';
export {
  type Aggregation,
  aggregations,
  aggregator,
  type ClipOptions,
  type ClippedLoss,
  clippedLoss,
  highEntropyTokens,
  type Importance,
  importances,
  type KlImportance,
  type KlTermOptions,
  klImportances,
  klTerm,
  logRatios,
  type Ratio,
  ratioOf,
  rewardClaims,
  rowAdvantages,
  rowLogRatios,
  rowMeans,
  type SurrogateLoss,
  softGateLoss,
  valueTerm,
} from './surrogate/index.js';
export { type Term, weighted } from './weighted.js';
export * from './weights/index.js';
export { withoutReference } from './without-reference.js';
