import type { Completion, Policy } from '@kelpie/policy';
import type { OnlinePrompt } from '../rollouts.js';

export interface DrawRequest {
  readonly prompts: readonly OnlinePrompt[];
  /** Of each prompt. */
  readonly completions: number;
  readonly maxNewTokens: number;
  readonly temperature: number;
  /** Cut off what is drawn from; of the policy's own decoder alone. */
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  /** Ids that end a completion; the end token stays in it. */
  readonly stop: readonly number[];
  readonly seed: number;
  /** Steps that the policy has learnt from, those before a resume included. */
  readonly version: number;
  readonly signal?: AbortSignal;
}

export interface Drawn {
  /** Those of a prompt together, prompts in order. */
  readonly completions: readonly Completion[];
  /** At which temperature the log-probabilities of `completions` are meant. */
  readonly logprobTemperature: number;
  readonly metrics?: Readonly<Record<string, number>>;
  /** What a user should see of how they were drawn. */
  readonly warnings?: readonly string[];
}

/**
 * Draws completions of a policy. Whatever log-probabilities it gives are compared with the policy's own and then left:
 * ratios and divergences are made of the policy's.
 */
export interface RolloutEngine {
  readonly name: string;
  /** What decides on its completions besides the policy, as plain JSON. A checkpoint goes on with the same only. */
  readonly madeOf: Readonly<Record<string, unknown>>;
  /** Mean |log-probability of the engine - of the policy| of a token, in nats, above which a run warns. */
  readonly logprobBound: number;
  /** What a user should know before the first step. */
  readonly notice?: string;
  draw(policy: Policy, request: DrawRequest): Promise<Drawn>;
  /** Removes what it left on disk. */
  [Symbol.asyncDispose](): Promise<void>;
}
