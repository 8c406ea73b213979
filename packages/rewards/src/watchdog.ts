import { url as debuggerUrl } from 'node:inspector';
import { isMainThread, Worker } from 'node:worker_threads';
import type { TimeoutError } from './parallel.js';

/** A call of a user's function. */
export interface Guarded {
  readonly reward: string;
  /** Which rows, as a message says it. */
  readonly rows: string;
  readonly timeoutMs: number;
}

/** To the thread that watches: a call begins, or has ended. */
export type Notice = { readonly id: number; readonly begins?: Guarded };

/** Numbers that both threads see. */
export const shared = { beats: 0, stops: 1, size: 2 } as const;

export const beatMs = 100;

/** How long nothing else may run: the time to answer twice, or 2 s more than it. */
export const patienceMs = (timeoutMs: number): number => timeoutMs + Math.max(timeoutMs, 2000);

/** The built entry, from the sources as well: a worker thread cannot run TypeScript. */
const ENTRY = new URL('../dist/watchdog-thread.js', import.meta.url);

let watchdog: Watchdog | undefined;

/**
 * Watches over a call that has not ended when it gives back its promise: what loops behind an `await` keeps timers and signals
 * from ever being seen, and only another thread can end it. That thread counts beats of this one. Where they stay away for
 * `patienceMs` it says so on stderr and interrupts the JavaScript that runs, so that the call's `TimeoutError` comes; where that
 * helps nothing, as inside a child process that is waited for, it kills the process, which then has the exit code 137.
 * A debugger's break is no such case, and in a worker thread, where nothing can be interrupted so, nothing is watched.
 */
export function guarded<Result>(call: Guarded, result: Result | Promise<Result>): Result | Promise<Result> {
  if (!(result instanceof Promise) || !isMainThread || debuggerUrl() !== undefined) return result;
  watchdog ??= new Watchdog();
  const end = watchdog.begin(call);
  result.then(end, end);
  return result;
}

/** How often something was interrupted so far; a `TimeoutError` behind it may be of any row that was under way. */
export const interruptions = (): number => watchdog?.stops ?? 0;

/** What the error of a row says that was under way then. */
export const besideBusy = ({ message }: TimeoutError): string =>
  `${message}: this row or one beside it ran on without end behind an \`await\`, and was interrupted`;

class Watchdog {
  readonly #seen = new Int32Array(new SharedArrayBuffer(4 * shared.size));
  readonly #thread = new Worker(ENTRY, { execArgv: [], workerData: this.#seen });
  #next = 0;
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    this.#thread.unref();
  }

  get stops(): number {
    return Atomics.load(this.#seen, shared.stops);
  }

  begin(call: Guarded): () => void {
    const id = this.#next++;
    this.#underWay++;
    this.#beat();
    this.#tell({ id, begins: call });
    this.#timer ??= setInterval(() => this.#beat(), beatMs).unref();
    return () => {
      this.#beat();
      this.#tell({ id });
      if (--this.#underWay > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  #beat(): void {
    Atomics.add(this.#seen, shared.beats, 1);
  }

  #tell(notice: Notice): void {
    this.#thread.postMessage(notice);
  }
}
