export {
  bestOfN,
  type FrontierPoint,
  firstOrderError,
  frontier,
  optimalPolicy,
  optimumAtReward,
  type Regularised,
  spacedBetween,
} from './optimum.js';
export {
  expectation,
  logSumExp,
  normal,
  normalized,
  randomPolicy,
  sequenceEntropy,
  sequenceLogprobs,
  standardized,
  studentT2,
  type TablePolicy,
  tableOf,
  tokenLogprobs,
  uniformPolicy,
} from './policy.js';
export { enumerableScores, gridOf, pullback, scoresOf, type TableActorCritic, type TableGradient } from './scores.js';
export { largest, minimize, rootBetween, type Solution, type SolveOptions, solveStationary } from './solve.js';
export { enumerateSequences, type SequenceSpace, type SpaceOptions } from './space.js';
