export { type Checkpoint, findCheckpoint, type LoopState, saveCheckpoint } from './checkpoint.js';
export { type EvaluateOptions, evaluate } from './evaluate.js';
export {
  type EarlyEnd,
  type EventOf,
  Events,
  type Logger,
  type RolloutRecord,
  type RunEvent,
  type Timing,
} from './events.js';
export { join, splitCotangents } from './join.js';
export { asJudged, calibrationOf, judgesSequences, padTokenOf } from './judged.js';
export { requireUnlocked } from './lock.js';
export * from './loggers/index.js';
export { type OfflineResult, type OfflineRun, trainOffline } from './offline.js';
export { checkpointOf, type PlannedRun, planOffline } from './offline-plan.js';
export { asRead, readsMismatched } from './offline-rows.js';
export * from './online/index.js';
export { type ReferenceOptions, referenceScores } from './reference.js';
export { rewardModel } from './reward-model.js';
export {
  type Example,
  gridOf,
  mismatchedTrees,
  type Part,
  partOf,
  type ReferenceTable,
  type Rows,
  type ScoredTrees,
} from './rows.js';
export { requireResumable } from './run-folder.js';
export { type ScheduleName, type ScheduleOptions, scheduleFactor, scheduleNames } from './schedule.js';
export { type CheckPart, type SelfCheck, type SelfCheckOptions, selfCheck, selfCheckError } from './self-check.js';
export { type AccumulatedStep, accumulate, measure, type StepOptions, type StepResult, type Task } from './step.js';
export {
  budgetOf,
  holdOut,
  type TrainOptions,
  type TrainOptionsInput,
  trainOptions,
  withBudget,
} from './train-options.js';
export {
  type Change,
  type Prompt,
  promptsOf,
  type Sample,
  type SampleOptions,
  type Snapshot,
  samplesOf,
  type Verdict,
  verdictOf,
} from './verdict.js';
