export { type AdaptiveKlOptions, adaptiveKlController, fixedKlController, type KlController } from './controllers.js';
export { type FPenaltyForm, type FRewardOptions, type FShapedRewards, fPenalty, fShapedRewards } from './f-rewards.js';
export {
  type KlRewardOptions,
  type ScoredCompletions,
  type ShapedRewards,
  sequenceRewards,
  shapedRewards,
} from './rewards.js';
export { addChunk, noMoments, type RunningMoments } from './running-moments.js';
export { type MissingEos, overlongPenalty, type ScoreOptions, usedScores } from './scores.js';
export { type PaddedCompletions, type TrailingRewards, trailingSlotRewards } from './trailing-slot.js';
