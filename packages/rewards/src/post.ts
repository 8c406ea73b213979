import { messageOf } from '@kelpie/policy';
import { show } from './error.js';
import { hashedUniforms } from './hash.js';
import { pause, TimeoutError, within } from './parallel.js';

export interface PostOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly backoffMs: number;
  readonly longestPauseMs: number;
  /** Of the jitter of the pauses. */
  readonly seed: number;
}

export interface PostTask<Answer> {
  /** JSON. */
  readonly body: string;
  /** Tells this request from others; for the jitter. */
  readonly key: number | string;
  readonly signal: AbortSignal;
  /** Makes the answer of a text of status 200, or throws, a `PostError` if another try may help. */
  read(text: string): Answer;
  /** What is told each failure behind which the request is made again, before the pause. */
  onFailure?(error: PostError, attempt: number): void;
  /** Each try is made through it: what has to be done before, or has to be known of its failure. */
  around?(attempt: () => Promise<Answer>): Promise<Answer>;
}

/** What went wrong with a request, and whether another try may help. */
export class PostError extends Error {
  override readonly name = 'PostError';
  declare readonly status?: number;

  constructor(
    message: string,
    readonly facts: {
      readonly status?: number;
      readonly again: boolean;
      readonly pauseMs?: number;
      /** How often it was tried. */
      readonly attempts?: number;
      readonly cause?: unknown;
    },
  ) {
    super(message, facts.cause === undefined ? {} : { cause: facts.cause });
    if (facts.status !== undefined) this.status = facts.status;
  }
}

/**
 * Posts until there is an answer, or no further try is left. Tried again are broken connections, time limits and the statuses
 * 408, 425, 429 and 5xx, after
 *   backoffMs 2^k (1 + u)/2,  u uniform from (seed, key, k),  at most longestPauseMs, or as `Retry-After` says in seconds
 * Any other status fails at once. Redirects are not followed.
 */
export async function postPatiently<Answer>(task: PostTask<Answer>, options: PostOptions): Promise<Answer> {
  const { retries, backoffMs, longestPauseMs, seed } = options;
  const { key, signal, around = (attempt: () => Promise<Answer>) => attempt() } = task;
  for (let attempt = 0; ; attempt++) {
    try {
      return await around(async () => task.read(await post(task, options)));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof PostError)) throw error;
      const { again, pauseMs } = error.facts;
      if (!again || attempt === retries) throw tried(error, attempt + 1);
      task.onFailure?.(error, attempt + 1);
      const [uniform] = hashedUniforms(seed, `${key}/${attempt}`);
      const backoff = (backoffMs * 2 ** attempt * (1 + uniform)) / 2;
      await pause(Math.min(pauseMs ?? backoff, longestPauseMs), signal);
    }
  }
}

function tried(error: PostError, attempts: number): PostError {
  const { status } = error.facts;
  return new PostError(attempts === 1 ? error.message : `${error.message} (tried ${attempts} times)`, {
    again: false,
    attempts,
    ...(status !== undefined && { status }),
    cause: attempts === 1 ? error.facts.cause : error,
  });
}

async function post({ body, signal }: Pick<PostTask<unknown>, 'body' | 'signal'>, options: PostOptions) {
  const { url, headers, timeoutMs } = options;
  const { status, text, retryAfter } = await within({ timeoutMs, signal }, async (stop) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { accept: 'application/json', 'content-type': 'application/json', ...headers },
      body,
      redirect: 'manual',
      signal: stop,
    });
    const retryAfter = response.headers.get('retry-after');
    return { status: response.status, text: withoutSecrets(await response.text(), headers), retryAfter };
  }).catch((cause: unknown) => {
    throw new PostError(`${url}: ${connectionMessage(cause)}`, { again: true, cause });
  });
  if (status !== 200) throw refused(url, status, text, retryAfter);
  return text;
}

/** A server may repeat a key in what it complains of: words of header values, of 8 characters or more, are not kept. */
function withoutSecrets(text: string, headers: PostOptions['headers']): string {
  const words = Object.values(headers).flatMap((value) => value.split(/\s+/));
  const secrets = words.filter((word) => word.length >= 8).sort((a, b) => b.length - a.length);
  return secrets.reduce((left, secret) => left.replaceAll(secret, '***'), text);
}

/** fetch says no more than `fetch failed`; its cause says why. */
function connectionMessage(error: unknown): string {
  if (error instanceof TimeoutError) return error.message;
  const { cause } = error as { readonly cause?: unknown };
  const why = cause === undefined ? messageOf(error) : messageOf(cause) || String((cause as { code?: string }).code);
  return `the connection failed: ${why}`;
}

function refused(url: string, status: number, text: string, retryAfter: string | null): PostError {
  const said = text.trim() === '' ? '' : `: ${show(text.trim(), 200)}`;
  const seconds = retryAfter === null || retryAfter.trim() === '' ? Number.NaN : Number(retryAfter);
  return new PostError(`${url} answered with status ${status}${said}`, {
    status,
    again: [408, 425, 429].includes(status) || status >= 500,
    ...(seconds >= 0 && { pauseMs: seconds * 1000 }),
  });
}

/** JSON of a text of status 200. */
export function jsonOf(url: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw wrongAnswer(url, `not with JSON (${messageOf(error)}): ${show(text, 200)}`);
  }
}

/** An answer of another shape than asked for: it would be no other the next time. */
export function wrongAnswer(url: string, what: string): PostError {
  return new PostError(`${url} answered with status 200, but ${what}`, { status: 200, again: false });
}
