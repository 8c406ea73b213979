import { z } from 'zod';
import { badOption, type RowFailure, rowsFailed } from '../error.js';
import { inParallel } from '../parallel.js';
import { type Answer, judgeRemotely } from '../remote.js';
import { failureOf, leaf, type Reward, type RewardRow } from '../reward.js';
import { defineSource } from '../source.js';

/**
 * A server that judges, over HTTP. POST, JSON both ways:
 *   request   { "rows": [{ "prompt", "completion", "ids", "ended", "meta" }] }
 *   answer    { "rewards": [number | null | { "error": text }], "parts"?: { name: [number | null] } }
 * One reward a row, in order. `null` is not judged, which is an error without `abstains`. A row with `error` fails alone and
 * is not asked for again. Connections that break, time limits and the statuses 408, 425, 429 and 5xx are tried again, after
 *   backoffMs 2^k (1 + u)/2,  u uniform from (seed, batch, k),  at most longestPauseMs, or as `Retry-After` says in seconds
 * Any other status, and an answer of another shape, fails at once.
 */
export const http = defineSource({
  name: 'http',
  summary: 'a server that judges batches over HTTP, JSON both ways',
  options: {
    url: z.url({ protocol: /^https?$/ }).describe('Where rows are posted.'),
    headers: z.record(z.string(), z.string()).default({}).describe('Further request headers, as `authorization`.'),
    apiKeyVariable: z
      .string()
      .min(1)
      .default('KELPIE_REWARD_API_KEY')
      .describe("The environment variable that holds the server's key, sent as `authorization: Bearer` if set."),
    batchSize: z.int().min(1).default(32).describe('Rows in a request.'),
    concurrency: z.int().min(1).default(4).describe('Requests under way at once.'),
    timeoutMs: z.int().min(1).default(60_000).describe('A request that takes longer counts as failed.'),
    retries: z.int().min(0).default(4).describe('How often a request is tried again.'),
    backoffMs: z.number().min(0).default(250).describe('Pause before the first retry; doubled for each further one.'),
    longestPauseMs: z.number().min(0).default(30_000).describe('No pause is longer.'),
    seed: z.int().default(0).describe('Of the jitter of the pauses.'),
    abstains: z.boolean().default(false).describe('Whether the server may leave rows unjudged.'),
    parts: z.array(z.string().min(1)).default([]).describe('Names of the parts that every answer must have.'),
  },
  open({ name, batchSize, concurrency, parts, abstains, apiKeyVariable, headers, ...given }): Reward {
    requirePlain(name, given.url);
    const key = process.env[apiKeyVariable];
    const how = { ...given, headers: { ...(key && { authorization: `Bearer ${key}` }), ...lowerCased(headers) } };
    return leaf({
      name,
      abstains,
      parts: parts.map((part) => `${name}/${part}`),
      async judge(rows, { signal }) {
        const batches = batchesOf(rows, batchSize);
        const answers = await inParallel(batches, concurrency, signal, async (batch, at, aborted) => {
          try {
            const asked = { rows: batch.rows, parts, abstains, batch: at, signal: aborted };
            return await judgeRemotely(asked, how);
          } catch (error) {
            aborted.throwIfAborted();
            throw rowsFailed(name, batchFailures(batch, error), rows.length);
          }
        });
        return joined(name, { rows, batches, answers, parts });
      },
    });
  },
});

/** An address is shown in errors and kept in `run.json`: what may be a key has no place in it. */
function requirePlain(name: string, url: string): void {
  const { username, password, search, hash } = new URL(url);
  if (`${username}${password}${search}${hash}` === '') return;
  const expected =
    'one without a name, a password, a query or a fragment: a key goes into `headers` or the environment';
  throw badOption(name, 'url', expected, 'one');
}

/** Header names are the same in any case. */
const lowerCased = (headers: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(headers).map(([header, value]) => [header.toLowerCase(), value]));

interface Batch {
  readonly rows: readonly RewardRow[];
  /** Index of its first row. */
  readonly first: number;
}

function batchesOf(rows: readonly RewardRow[], size: number): readonly Batch[] {
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, at) => ({
    rows: rows.slice(at * size, (at + 1) * size),
    first: at * size,
  }));
}

function batchFailures({ rows, first }: Batch, error: unknown): readonly RowFailure[] {
  const { status } = error as { readonly status?: number };
  return rows.map((row, at) => ({ ...failureOf(row, first + at, error), ...(status !== undefined && { status }) }));
}

interface Answered {
  readonly rows: readonly RewardRow[];
  readonly batches: readonly Batch[];
  readonly answers: readonly Answer[];
  readonly parts: readonly string[];
}

function joined(name: string, { rows, batches, answers, parts }: Answered) {
  const failures = answers.flatMap(({ rewards }, batch) =>
    rewards.flatMap((reward, at) => {
      if (typeof reward === 'number') return [];
      const row = batches[batch]!.first + at;
      return [failureOf(rows[row]!, row, new Error(`the server says: ${reward.error}`))];
    }),
  );
  if (failures.length > 0) throw rowsFailed(name, failures, rows.length);
  return {
    rewards: answers.flatMap(({ rewards }) => rewards as readonly number[]),
    parts: Object.fromEntries(
      parts.map((part) => [`${name}/${part}`, answers.flatMap((answer) => answer.parts[part]!)] as const),
    ),
  };
}
