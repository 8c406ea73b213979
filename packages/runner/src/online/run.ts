import type { TextTokenizer } from '@kelpie/data';
import type { Objective } from '@kelpie/objectives';
import type { Policy, SaveOptions } from '@kelpie/policy';
import type { Reward } from '@kelpie/rewards';
import type { EarlyEnd, Logger } from '../events.js';
import type { Verdict } from '../verdict.js';
import type { RolloutEngine } from './engines/index.js';
import type { OnlineOptionsInput } from './options.js';
import type { WeightedReward } from './rewards.js';
import type { OnlinePrompt } from './rollouts.js';

export interface OnlineRun {
  /**
   * Open it with `keepReference` where anything reads a reference; and with `scalarHead: 'beside'` where the objective
   * fits values itself (`ppo` with `valueCoef` above 0) and no `critic` is given. That head starts at 0, so that every
   * value does. The saved model is without it, checkpoints have it.
   */
  readonly policy: Policy;
  /**
   * A value function apart from the policy, with weights and an optimizer of its own: opened with `scalarHead: 'alone'`
   * from a reward model's folder or from the base, the latter with `scalarHeadStd: 0`, so that every value starts at 0.
   * It is fitted to the same returns in the same mini-batches at `criticLearningRate`; the policy's loss is then without
   * values, whatever `valueCoef` is. Saved to `critic/`. Objectives other than `ppo` may have one too.
   */
  readonly critic?: Policy;
  readonly objective: Objective;
  readonly objectiveOptions?: Readonly<Record<string, unknown>>;
  readonly prompts: readonly OnlinePrompt[];
  /** Completed in evaluations, never learnt from. Default: none. */
  readonly heldout?: readonly OnlinePrompt[];
  readonly rewards: readonly WeightedReward[];
  /** Measured and logged, not optimised. */
  readonly watched?: readonly Reward[];
  readonly options?: OnlineOptionsInput;
  /**
   * Draws the completions that are learnt from; evaluations are always drawn by the policy itself. Default: the policy's own
   * decoder. Whoever makes an engine disposes of it.
   */
  readonly engine?: RolloutEngine;
  /** Where the run's files go: those of an offline run, and `rollouts.jsonl`. */
  readonly outFolder: string;
  /** Goes on from the newest checkpoint of `outFolder`, if there is one. Default false. */
  readonly resume?: boolean;
  /** Finishes the step, writes a checkpoint and stops. */
  readonly signal?: AbortSignal;
  /** Default: `metrics.jsonl`, `timing.jsonl` and `rollouts.jsonl` in `outFolder`. */
  readonly loggers?: readonly Logger[];
  readonly tokenizer?: Pick<TextTokenizer, 'decode' | 'hash' | 'eosTokens'>;
  /** Ids that end a completion. Default: the tokenizer's. */
  readonly stop?: readonly number[];
  /** Whether the policy keeps a reference. Default true; without one there is no divergence to measure or hold. */
  readonly reference?: boolean;
  /** Of the self-check: |ratio - 1|. Default 1e-5. `false` leaves it out. */
  readonly selfCheckTolerance?: number | false;
  /** How the model is saved at the end. `false`: not at all. */
  readonly save?: SaveOptions | false;
}

export interface OnlineResult {
  /** Steps done, those before a resume included. */
  readonly step: number;
  readonly steps: number;
  /** Stopped by the signal; a checkpoint was written if a step was done. */
  readonly stopped: boolean;
  /** Which budget ended it before its last step. */
  readonly early?: EarlyEnd;
  /** Of the last evaluation; empty without held-out prompts. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly verdict?: Verdict;
}
