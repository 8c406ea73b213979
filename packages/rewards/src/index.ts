export { type EnsembleOptions, ensemble } from './combine/ensemble.js';
export { type Weighted, weightedOver, weightedSum } from './combine/weighted.js';
export { type OpenOptions, openReward, type RewardConfig, rewardTypes } from './config.js';
export { RewardError, type RewardErrorCode, type RowFailure, rowsFailed } from './error.js';
export {
  asReward,
  type BatchFunction,
  batchReward,
  type FunctionOptions,
  isReward,
  type RowFunction,
  rowReward,
} from './function.js';
export { hashedUniforms } from './hash.js';
export { inParallel } from './parallel.js';
export { jsonOf, PostError, type PostOptions, type PostTask, postPatiently, wrongAnswer } from './post.js';
export {
  derived,
  type Judged,
  type JudgeOptions,
  leaf,
  type Reward,
  type RewardRow,
  type RewardState,
} from './reward.js';
export { defineSource, type Source } from './source.js';
export * from './sources/index.js';
export { type CalibrateOptions, calibrated, type ReferenceRewards, referenceRewards } from './transforms/calibrated.js';
export { type ClipOptions, clipped } from './transforms/clipped.js';
export { momentsOfRewards, type NormaliseOptions, normalised } from './transforms/normalised.js';
export { type PlantedErrorOptions, plantedError, studentT } from './transforms/planted-error.js';
