import type { Where } from './errors.js';
import type { Cotangents, PolicyInfo, SampledToken, TokenScores } from './types.js';

/** Calls that a policy's worker answers: the methods of `Policy`, and a vjp's pullback and release by number. */
export type Method =
  | 'open'
  | 'score'
  | 'vjp'
  | 'pullback'
  | 'release'
  | 'pull'
  | 'optimizer'
  | 'step'
  | 'sample'
  | 'updateReference'
  | 'gradients'
  | 'save'
  | 'saveState'
  | 'restoreState'
  | 'dispose';

export type Request =
  | { readonly id: number; readonly method: Method; readonly args: readonly unknown[] }
  /** Gives up the call `id`, as far as it can be given up. */
  | { readonly abort: number };

export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
  readonly where?: Where;
}

export type Reply = { readonly id: number } & ({ readonly result: unknown } | { readonly failure: Failure });

/** On the way to a reply: what a call's listener is told. */
export interface Progress {
  readonly id: number;
  readonly token: SampledToken;
}

export interface OpenReply {
  readonly info: PolicyInfo;
}

export interface VjpReply {
  readonly vjp: number;
  readonly scores: TokenScores;
}

export type PullbackArgs = readonly [vjp: number, cotangents: Cotangents];
