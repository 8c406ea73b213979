export { type KinkOptions, minimizeKinked, shortestCombination, slide } from './kinks.js';
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
  massGradient,
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
export {
  type ExpectedObjective,
  expectedObjective,
  isOnPolicy,
  type Population,
  type PopulationOptions,
  populationOf,
  type Setting,
} from './population.js';
export { givesScore, gridOf, pullback, scoresOf, type TableActorCritic, type TableGradient } from './scores.js';
export { flow, largest, minimize, rootBetween, type Solution, type SolveOptions, solveStationary } from './solve.js';
export { enumerateSequences, type SequenceSpace, type SpaceOptions } from './space.js';
export { type EnumerableWorld, enumerableWorld, type WorldOptions } from './world.js';
