import { z } from 'zod';
import { show } from './error.js';
import { jsonOf, type PostOptions, postPatiently, wrongAnswer } from './post.js';
import type { RewardRow } from './reward.js';

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

/** Asks until there is an answer, or no further try is left. */
export async function judgeRemotely({ batch, signal, ...question }: Question, options: PostOptions): Promise<Answer> {
  const body = JSON.stringify({ rows: question.rows.map(sent) });
  return postPatiently({ body, key: batch, signal, read: (text) => parsed(options.url, text, question) }, options);
}

const sent = ({ prompt, completion, ids, ended, meta }: RewardRow): object => ({
  prompt,
  completion,
  ids: Array.from(ids),
  ended,
  meta,
});

function parsed(url: string, text: string, { rows, parts, abstains }: Omit<Question, 'batch' | 'signal'>): Answer {
  const json = jsonOf(url, text);
  const { success, data, error } = answerSchema(rows.length, parts, abstains).safeParse(json);
  if (success) return { parts: {}, ...data } as Answer;
  const [issue] = error.issues;
  const value = issue!.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], json);
  const place = issue!.path.length === 0 ? 'the answer' : `\`${issue!.path.join('.')}\``;
  const received = Array.isArray(value) ? `${value.length}` : show(value);
  throw wrongAnswer(url, `${place}: ${issue!.message}, got ${received}`);
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
