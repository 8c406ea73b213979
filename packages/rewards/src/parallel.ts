import { setMaxListeners } from 'node:events';

/**
 * Runs `run` on all items, at most `limit` at once. The first failure aborts what is under way, starts nothing more and is
 * thrown once all has stopped; so is an abort from outside, with its reason.
 */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  limit: number,
  signal: AbortSignal | undefined,
  run: (item: Item, index: number, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  signal?.throwIfAborted();
  const results = new Array<Result>(items.length);
  const own = controller();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length && !own.signal.aborted) {
      const at = next++;
      try {
        results[at] = await run(items[at]!, at, own.signal);
      } catch (error) {
        own.abort(error);
      }
    }
  };
  const unlink = follow(own, signal);
  try {
    await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  } finally {
    unlink();
  }
  own.signal.throwIfAborted();
  return results;
}

/** Runs `work` for at most `timeoutMs`, and lets go of it then, or when `signal` is aborted, whether it listens or not. */
export async function within<Result>(
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
  work: (signal: AbortSignal) => Result | Promise<Result>,
): Promise<Result> {
  signal?.throwIfAborted();
  const own = controller();
  const unlink = follow(own, signal);
  const timer = setTimeout(() => own.abort(new TimeoutError(timeoutMs)), timeoutMs);
  try {
    return await unlessAborted(own.signal, () => work(own.signal));
  } finally {
    clearTimeout(timer);
    unlink();
  }
}

/** What `work` comes to, or the reason of `signal` as soon as that is aborted, whether `work` listens or not. */
export async function unlessAborted<Result>(
  signal: AbortSignal,
  work: () => Result | Promise<Result>,
): Promise<Result> {
  signal.throwIfAborted();
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([aborted, work()]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';

  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms`);
  }
}

/** Waits, or rejects with the reason of `signal`. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal.addEventListener('abort', stop, { once: true });
  });
}

/** A controller whose signal any number of calls may listen to. */
function controller(): AbortController {
  const own = new AbortController();
  setMaxListeners(0, own.signal);
  return own;
}

/** Aborts `own` with `signal`. The result takes the listener away again: `signal` may live as long as the run. */
function follow(own: AbortController, signal: AbortSignal | undefined): () => void {
  if (signal === undefined) return () => {};
  const abort = (): void => own.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  return () => signal.removeEventListener('abort', abort);
}
