import type { ObjectiveState } from '@kelpie/objectives';
import type { RewardState } from '@kelpie/rewards';
import type { EarlyEnd } from '../events.js';
import { movesBehind } from '../moving-reference.js';
import type { Snapshot } from '../verdict.js';
import type { OnlineOptions } from './options.js';
import { noHistory, type RewardHistory } from './watch.js';

/** What follows a step that has learnt. */
export type Duty = 'evaluation' | 'reference';

/** What goes on from step to step, and is kept in checkpoints as plain JSON. */
export interface Progress {
  readonly step: number;
  /** Weight of the penalty. */
  readonly coef: number;
  /** KL of the last step's completions from the reference, in nats, where it was measured. */
  readonly kl?: number;
  readonly rewardState: RewardState;
  readonly objectiveState?: ObjectiveState;
  readonly history: RewardHistory;
  readonly seconds: number;
  /** What still follows the step, in order: where that failed, a resumed run begins with it. */
  readonly due: readonly Duty[];
  /** The last evaluation; absent before there is one behind a step. */
  readonly now?: Snapshot;
}

export const noProgress = (coef: number): Progress => ({
  step: 0,
  coef,
  rewardState: {},
  history: noHistory,
  seconds: 0,
  due: [],
});

/** The budget that ends a run before its last step, if one does. */
export function spent(
  { step, kl, seconds }: Progress,
  { steps, maxDivergence, maxMinutes }: OnlineOptions,
): EarlyEnd | undefined {
  if (step >= steps) return undefined;
  if (maxDivergence !== undefined && kl !== undefined && kl > maxDivergence) return 'divergence';
  return maxMinutes !== undefined && seconds > 60 * maxMinutes ? 'time' : undefined;
}

/** What follows a step: the evaluation is against the reference as the step had it. */
export function dutiesBehind(progress: Progress, options: OnlineOptions): readonly Duty[] {
  const { step } = progress;
  const { steps, evaluateEvery } = options;
  const last = step === steps || spent(progress, options) !== undefined;
  const evaluated = last || (evaluateEvery > 0 && step % evaluateEvery === 0);
  return [...(evaluated ? ['evaluation' as const] : []), ...(movesBehind(step, options) ? ['reference' as const] : [])];
}
