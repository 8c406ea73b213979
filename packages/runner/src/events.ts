import type { SelfCheck } from './self-check.js';
import type { Sample, Verdict } from './verdict.js';

/** What a step took. Never the same twice, so it is kept apart from what was measured. */
export interface Timing {
  readonly seconds: number;
  /** Of the step's trees, each trunk once. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
  readonly peakRssBytes: number;
  /** Of the phases of an online step: seconds, and the completion tokens gone through. */
  readonly phases?: Readonly<Record<string, { readonly seconds: number; readonly tokens: number }>>;
}

/** A completion as it is kept. A number that is not there, of a reward that did not judge, is null in JSON. */
export interface RolloutRecord {
  readonly step: number;
  readonly promptId: string;
  readonly prompt: string;
  readonly completion: string;
  readonly ids: readonly number[];
  readonly ended: boolean;
  /** Who drew it, if not the policy. */
  readonly by?: 'reference';
  /** Of each id, of the policy that drew it and of the reference. */
  readonly logprobs: readonly number[];
  readonly referenceLogprobs?: readonly number[];
  /** By name: everything that the reward is made of, and what is only watched. */
  readonly rewards: Readonly<Record<string, number>>;
  readonly watched: Readonly<Record<string, number>>;
  /** The weighted sum; what the penalty takes off; mean over the tokens. */
  readonly reward: number;
  readonly penalty: number;
  readonly advantage: number;
}

/** Why a run ended before its last step. */
export type EarlyEnd = 'divergence' | 'time';

/** Steps count from 1; step 0 is before the first update. */
export type RunEvent =
  | {
      readonly type: 'start';
      /** Steps already done: 0, or those of the checkpoint that is resumed. */
      readonly step: number;
      readonly resumed: boolean;
      readonly steps: number;
      readonly stepsPerEpoch: number;
      readonly examples: number;
      readonly heldout: number;
      /** All that decides on the result, as it is written into `run.json`. */
      readonly config: Readonly<Record<string, unknown>>;
    }
  | {
      readonly type: 'reference-progress';
      readonly of: 'train' | 'heldout';
      /** Of the rows with the completions of other prompts. */
      readonly mismatched: boolean;
      readonly done: number;
      readonly total: number;
      /** Read from disk instead of computed. */
      readonly cached: boolean;
    }
  | ({ readonly type: 'self-check' } & SelfCheck)
  | {
      readonly type: 'step';
      readonly step: number;
      /** Passes over the data so far, with a fraction. */
      readonly epoch: number;
      readonly loss: number;
      /** Before clipping. */
      readonly gradNorm: number;
      /** The one this step used. */
      readonly learningRate: number;
      /** The objective's, as means over the step. */
      readonly metrics: Readonly<Record<string, number>>;
      readonly timing: Timing;
    }
  | {
      readonly type: 'evaluation';
      readonly step: number;
      readonly epoch: number;
      readonly metrics: Readonly<Record<string, number>>;
      readonly seconds: number;
    }
  | { readonly type: 'sample'; readonly step: number; readonly samples: readonly Sample[] }
  | { readonly type: 'rollouts'; readonly step: number; readonly rows: readonly RolloutRecord[] }
  | { readonly type: 'checkpoint'; readonly step: number; readonly folder: string }
  | { readonly type: 'warning'; readonly message: string }
  | {
      readonly type: 'end';
      readonly step: number;
      readonly stopped: boolean;
      readonly early?: EarlyEnd;
      readonly verdict?: Verdict;
    };

export type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

/**
 * Takes a run's events. It hears `start` first: a fresh run begins anew, a resumed one drops what stands behind
 * `start.step`, so that no step is written twice. What it throws ends the logger; of one that is `essential`, the run.
 */
export interface Logger {
  readonly name: string;
  /** Keeps what a resumed run goes on from, or the run's record: it must not have holes. It writes before `log` returns. */
  readonly essential?: boolean;
  log(event: RunEvent): void | Promise<void>;
  /** Resolves when all that was logged is on disk. */
  flush?(): Promise<void>;
}

/** Hands events to loggers. One that fails is left out from then on, and the others are told; an essential one's error is thrown. */
export class Events {
  readonly #loggers: Set<Logger>;
  readonly #pending = new Set<Promise<void>>();

  constructor(loggers: readonly Logger[]) {
    this.#loggers = new Set(loggers);
  }

  emit(event: RunEvent): void {
    for (const logger of [...this.#loggers]) {
      try {
        const logged = logger.log(event);
        if (logged !== undefined) this.#await(logger, logged);
      } catch (error) {
        this.#drop(logger, error);
      }
    }
  }

  warn(message: string): void {
    this.emit({ type: 'warning', message });
  }

  async flush(): Promise<void> {
    await Promise.all(this.#pending);
    for (const logger of [...this.#loggers]) {
      try {
        await logger.flush?.();
      } catch (error) {
        this.#drop(logger, error);
      }
    }
  }

  #await(logger: Logger, logged: Promise<void>): void {
    const settled: Promise<void> = logged
      .catch((error) => this.#drop(logger, error))
      .finally(() => this.#pending.delete(settled));
    this.#pending.add(settled);
  }

  #drop(logger: Logger, error: unknown): void {
    if (logger.essential) throw error;
    if (!this.#loggers.delete(logger)) return;
    this.warn(
      `the logger \`${logger.name}\` failed and is left out: ${error instanceof Error ? error.message : error}`,
    );
  }
}
