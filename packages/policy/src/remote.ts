import { Worker } from 'node:worker_threads';
import { KelpieError } from './errors.js';
import type { Failure, Method, OpenReply, Progress, Reply, Request, VjpReply } from './protocol.js';
import type { Completion, OpenOptions, Policy, SampledToken } from './types.js';

/** The built entry, from the sources as well: a worker thread cannot run TypeScript. */
const ENTRY = new URL('../dist/worker.js', import.meta.url);

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
  readonly onToken?: ((token: SampledToken) => void) | undefined;
}

/** Opens a policy in a worker thread of its own, which owns its weights, optimizer state and sessions. */
export async function openPolicy(options: OpenOptions): Promise<Policy> {
  const thread = new Thread();
  try {
    const { info } = await thread.call<OpenReply>('open', [options]);
    return policyOver(thread, info);
  } catch (error) {
    await thread.stop();
    throw error;
  }
}

function policyOver(thread: Thread, info: OpenReply['info']): Policy {
  return {
    info,
    score: (request) => thread.call('score', [request]),
    async vjp(request) {
      const { vjp, scores } = await thread.call<VjpReply>('vjp', [request]);
      return {
        scores,
        pullback: (cotangents) => thread.call('pullback', [vjp, cotangents]),
        release: () => thread.call('release', [vjp]),
      };
    },
    pull: (request) => thread.call('pull', [request]),
    optimizer: (adamw) => thread.call('optimizer', [adamw]),
    step: (learningRate) => thread.call('step', [learningRate]),
    sample: (request, { signal, onToken } = {}) =>
      thread.call<Completion[]>('sample', [request, onToken !== undefined], signal, onToken),
    updateReference: (mixture) => thread.call('updateReference', [mixture]),
    gradients: () => thread.call('gradients', []),
    save: (folder, saving) => thread.call('save', [folder, saving ?? {}]),
    saveState: (file) => thread.call('saveState', [file]),
    restoreState: (file) => thread.call('restoreState', [file]),
    async dispose() {
      if (!thread.stopped) await thread.call('dispose', []);
      await thread.stop();
    },
    async [Symbol.asyncDispose]() {
      await this.dispose();
    },
  };
}

class Thread {
  // The built packages, whatever conditions or loaders the parent runs its sources under.
  readonly #worker = new Worker(ENTRY, { execArgv: [] });
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #dead: Error | undefined;

  constructor() {
    this.#worker.on('message', (reply: Reply | Progress) => {
      const waiting = this.#waiting.get(reply.id);
      if ('token' in reply) {
        waiting?.onToken?.(reply.token);
        return;
      }
      this.#waiting.delete(reply.id);
      if (this.#waiting.size === 0) this.#worker.unref();
      if ('failure' in reply) waiting?.reject(revive(reply.failure));
      else waiting?.resolve(reply.result);
    });
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', (code) =>
      this.#fail(new KelpieError(`the policy's thread ended with code ${code}`, { code: 'worker-gone' })),
    );
  }

  async call<Result>(
    method: Method,
    args: readonly unknown[],
    signal?: AbortSignal,
    onToken?: (token: SampledToken) => void,
  ): Promise<Result> {
    if (this.#dead !== undefined) throw this.#dead;
    signal?.throwIfAborted();
    const id = this.#next++;
    return new Promise<Result>((resolve, reject) => {
      const abort = () => this.#post({ abort: id });
      signal?.addEventListener('abort', abort, { once: true });
      const finish = () => signal?.removeEventListener('abort', abort);
      this.#waiting.set(id, {
        resolve: (value) => {
          finish();
          resolve(value as Result);
        },
        reject: (error) => {
          finish();
          reject(signal?.aborted ? signal.reason : error);
        },
        onToken,
      });
      this.#worker.ref();
      this.#post({ id, method, args });
    });
  }

  get stopped(): boolean {
    return this.#dead !== undefined;
  }

  async stop(): Promise<void> {
    this.#dead ??= new KelpieError('the policy is disposed', { code: 'disposed' });
    await this.#worker.terminate();
  }

  #post(request: Request): void {
    this.#worker.postMessage(request);
  }

  #fail(error: Error): void {
    this.#dead ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#dead);
    this.#waiting.clear();
  }
}

function revive({ name, message, stack, code, where }: Failure): Error {
  const error =
    code === undefined
      ? new Error(message)
      : Object.assign(new KelpieError(message, { code }), where === undefined ? {} : { where });
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return error;
}
