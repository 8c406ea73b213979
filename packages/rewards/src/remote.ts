import { messageOf } from '@kelpie/policy';
import { z } from 'zod';
import { show } from './error.js';
import { hashedUniforms } from './hash.js';
import { pause, TimeoutError, within } from './parallel.js';
import type { RewardRow } from './reward.js';

export interface RequestOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly backoffMs: number;
  readonly longestPauseMs: number;
  readonly seed: number;
}

export interface Question {
  readonly rows: readonly RewardRow[];
  /** Names of the parts that the answer must have. */
  readonly parts: readonly string[];
  readonly abstains: boolean;
  /** Number of the batch; for the jitter. */
  readonly batch: number;
  readonly signal: AbortSignal;
}

/** NaN where the server left a row unjudged. */
export interface Answer {
  readonly rewards: readonly (number | { readonly error: string })[];
  readonly parts: Readonly<Record<string, readonly number[]>>;
}

/** What went wrong with a request, and whether another try may help. */
class RequestError extends Error {
  override readonly name = 'RequestError';
  declare readonly status?: number;

  constructor(
    message: string,
    readonly facts: {
      readonly status?: number;
      readonly again: boolean;
      readonly pauseMs?: number;
      readonly cause?: unknown;
    },
  ) {
    super(message, facts.cause === undefined ? {} : { cause: facts.cause });
    if (facts.status !== undefined) this.status = facts.status;
  }
}

/** Asks until there is an answer, or no further try is left. */
export async function judgeRemotely(question: Question, options: RequestOptions): Promise<Answer> {
  const { retries, backoffMs, longestPauseMs, seed } = options;
  const body = JSON.stringify({ rows: question.rows.map(sent) });
  for (let attempt = 0; ; attempt++) {
    try {
      return await ask(body, question, options);
    } catch (error) {
      question.signal.throwIfAborted();
      if (!(error instanceof RequestError)) throw error;
      const { again, pauseMs, status } = error.facts;
      if (!again || attempt === retries) throw tried(error, attempt + 1, status);
      const [uniform] = hashedUniforms(seed, `${question.batch}/${attempt}`);
      const backoff = (backoffMs * 2 ** attempt * (1 + uniform)) / 2;
      await pause(Math.min(pauseMs ?? backoff, longestPauseMs), question.signal);
    }
  }
}

const sent = ({ prompt, completion, ids, ended, meta }: RewardRow): object => ({
  prompt,
  completion,
  ids: Array.from(ids),
  ended,
  meta,
});

function tried(error: RequestError, attempts: number, status: number | undefined): RequestError {
  if (attempts === 1) return error;
  return new RequestError(`${error.message} (tried ${attempts} times)`, {
    again: false,
    ...(status !== undefined && { status }),
    cause: error,
  });
}

async function ask(body: string, { signal, ...question }: Question, options: RequestOptions): Promise<Answer> {
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
    return { status: response.status, text: await response.text(), retryAfter };
  }).catch((cause: unknown) => {
    throw new RequestError(`${url}: ${connectionMessage(cause)}`, { again: true, cause });
  });
  if (status !== 200) throw refused(url, status, text, retryAfter);
  return parsed(url, text, question);
}

/** fetch says no more than `fetch failed`; its cause says why. */
function connectionMessage(error: unknown): string {
  if (error instanceof TimeoutError) return error.message;
  const { cause } = error as { readonly cause?: unknown };
  const why = cause === undefined ? messageOf(error) : messageOf(cause) || String((cause as { code?: string }).code);
  return `the connection failed: ${why}`;
}

function refused(url: string, status: number, text: string, retryAfter: string | null): RequestError {
  const said = text.trim() === '' ? '' : `: ${show(text.trim(), 200)}`;
  const seconds = retryAfter === null || retryAfter.trim() === '' ? Number.NaN : Number(retryAfter);
  return new RequestError(`${url} answered with status ${status}${said}`, {
    status,
    again: [408, 425, 429].includes(status) || status >= 500,
    ...(seconds >= 0 && { pauseMs: seconds * 1000 }),
  });
}

function parsed(url: string, text: string, { rows, parts, abstains }: Omit<Question, 'signal'>): Answer {
  const wrong = (what: string): RequestError =>
    new RequestError(`${url} answered with status 200, but ${what}`, { status: 200, again: false });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw wrong(`not with JSON (${messageOf(error)}): ${show(text, 200)}`);
  }
  const { success, data, error } = answerSchema(rows.length, parts, abstains).safeParse(json);
  if (success) return { parts: {}, ...data } as Answer;
  const [issue] = error.issues;
  const value = issue!.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], json);
  const place = issue!.path.length === 0 ? 'the answer' : `\`${issue!.path.join('.')}\``;
  throw wrong(`${place}: ${issue!.message}, got ${Array.isArray(value) ? `${value.length}` : show(value)}`);
}

/** What a server answers, as zod checks it. */
export function answerSchema(rows: number, parts: readonly string[], abstains: boolean) {
  const value = abstains ? z.union([z.number(), z.null().transform(() => Number.NaN)]) : z.number();
  const expected = abstains ? 'a number or null' : 'a number';
  const error = `expected ${expected}`;
  const reward = z.union([value, z.object({ error: z.string() })], { error: `${error}, or an object with \`error\`` });
  const list = <T extends z.ZodType>(of: T) =>
    z.array(of, { error: 'expected a list' }).length(rows, { error: `expected ${rows}, one a row` });
  const named = Object.fromEntries(parts.map((part) => [part, list(z.union([value], { error }))]));
  return z.object(
    {
      rewards: list(reward),
      ...(parts.length > 0 && { parts: z.object(named, { error: 'expected an object' }) }),
    },
    { error: 'expected an object with `rewards`' },
  );
}
