export { type AdvantageName, advantageNames, usualAdvantage } from './advantages.js';
export {
  type CompletionsServerOptions,
  completionsServer,
  type Drawn,
  type DrawRequest,
  type Handover,
  type HandoverPost,
  inProcess,
  type RolloutEngine,
} from './engines/index.js';
export { trainOnline } from './loop.js';
export { type OnlineOptions, type OnlineOptionsInput, onlineOptions } from './options.js';
export { type PenaltyName, penaltyNames } from './penalties.js';
export { type PlannedOnline, planOnline } from './plan.js';
export type { WeightedReward } from './rewards.js';
export type { OnlinePrompt } from './rollouts.js';
export type { OnlineResult, OnlineRun } from './run.js';
export type { Take } from './take.js';
