import { rmdir } from 'node:fs/promises';
import { type Completion, KelpieError, type Policy, type SaveOptions } from '@kelpie/policy';
import { inParallel, PostError, postPatiently } from '@kelpie/rewards';
import { type CompletionQuestion, readCompletions, requestBody, type ServedCompletion } from './completions.js';
import type { Drawn, RolloutEngine } from './engine.js';
import { Gate, type Passer } from './gate.js';
import { folderOf, type Handover, handOver, removeHandedOver } from './handover.js';

export interface CompletionsServerOptions {
  /** `http://host:8000`, with or without `/v1`. */
  readonly url: string;
  /** What the server calls the model. */
  readonly model: string;
  readonly handover: Handover;
  /** Where weights are put for the server to read. Not needed where none are handed over. */
  readonly folder?: string;
  /** How they are saved; an adapter is always merged in. */
  readonly save?: Omit<SaveOptions, 'merge'>;
  /**
   * Whether the server's log-probabilities are of the distribution before temperature (`raw`, as vLLM gives them), or
   * behind it (`processed`; SGLang, or vLLM with `--logprobs-mode processed_logprobs`). Default: `processed` where weights
   * are handed over as to `sglang`, else `raw`.
   */
  readonly logprobs?: 'raw' | 'processed';
  /** See `RolloutEngine`. Default 0.05: a mean ratio of e^0.05, 5 %, as between bfloat16 and float32. */
  readonly logprobBound?: number;
  /** Requests under way at once, each one prompt with all its completions. Default 16. */
  readonly concurrency?: number;
  /** A request that takes longer counts as failed. Default 5 minutes; Node waits no longer for an answer to begin. */
  readonly timeoutMs?: number;
  /** How often a request is tried again. Default 12: with the pauses some three minutes, in which a server can start. */
  readonly retries?: number;
  /** Pause before the first retry; doubled for each further one, shortened by up to a half at random. Default 500. */
  readonly backoffMs?: number;
  /** No pause is longer. Default 30,000. */
  readonly longestPauseMs?: number;
  /** The environment variable that holds the server's key, if it wants one. Default `KELPIE_ENGINE_API_KEY`. */
  readonly apiKeyVariable?: string;
}

/**
 * A server that speaks OpenAI's completions, as vLLM and SGLang do: POST /v1/completions with a prompt's ids, one request a
 * prompt, for completions with their ids and log-probabilities; `completions.ts` has what is read of an answer.
 *
 * A request that fails is made again, with the seed it had: its completions come once or not at all. Behind a failure that
 * may have been a restart the weights are handed over again before anything else is asked, since a server comes back with
 * those it was started from. Where no try is left the error names server, prompt and attempts.
 */
export function completionsServer(options: CompletionsServerOptions): RolloutEngine {
  const { model, handover, folder, save = {}, concurrency = 16, logprobBound = 0.05 } = options;
  const { timeoutMs = 300_000, retries = 12, backoffMs = 500, longestPauseMs = 30_000 } = options;
  const { logprobs = handover === 'sglang' ? 'processed' : 'raw', apiKeyVariable = 'KELPIE_ENGINE_API_KEY' } = options;
  const address = addressOf(options.url);
  const url = `${address}/v1/completions`;
  const follows = handover !== 'none';
  if (follows && folder === undefined) throw badOption('folder', 'a folder that the server can read', 'none');
  const patience = { timeoutMs, retries, backoffMs, longestPauseMs };
  let saved: number | undefined;
  let handedOver: number | undefined;

  const renew = async (policy: Policy, version: number, watch: Watch & Passer): Promise<void> => {
    if (!follows || folder === undefined) return;
    if (saved !== version) await policy.save(folderOf(folder, version), { ...save, merge: true });
    saved = version;
    const post = { ...patience, headers: watch.headers, seed: version };
    await handOver(handover, { ...watch, version }, { address, folder, post, commandTimeoutMs: timeoutMs });
    handedOver = version;
  };

  const ask = async (question: CompletionQuestion, row: string, gate: Gate, watch: Watch) => {
    const task = {
      body: requestBody(question),
      key: row,
      signal: watch.signal,
      onFailure: watch.onFailure,
      read: (text: string) => readCompletions(url, text, question),
      around: (attempt: () => Promise<ServedCompletion[]>) =>
        gate.through(attempt, { row, signal: watch.signal, spoils: (error) => follows && mayBeRestarted(error) }),
    };
    try {
      return await postPatiently(task, { ...patience, url, headers: watch.headers, seed: question.seed });
    } catch (error) {
      watch.signal.throwIfAborted();
      throw error instanceof PostError ? notDrawn(error, { server: url, row }) : error;
    }
  };

  return {
    name: 'completions-server',
    madeOf: { engine: 'completions-server', model, follows },
    logprobBound,
    ...(!follows && {
      notice: `the server at ${address} is not handed what is learnt (\`none\`): it goes on drawing from the weights it has, one step further behind the policy with each; \`sampler/steps_behind\` counts them`,
    }),
    async draw(policy, request): Promise<Drawn> {
      const { prompts, version } = request;
      const key = process.env[apiKeyVariable];
      const failures: string[] = [];
      const watch = {
        headers: key ? { authorization: `Bearer ${key}` } : {},
        onFailure: ({ message }: PostError) => void failures.push(hidden(message, key)),
      };
      const gate = new Gate({
        stale: follows && handedOver !== version,
        renew: (by) => renew(policy, version, { ...watch, ...by }),
      });
      try {
        const served = await inParallel(prompts, concurrency, request.signal, (prompt, at, signal) => {
          const { vocabularySize, contextLength } = policy.info;
          const maxNewTokens = Math.min(request.maxNewTokens, contextLength - prompt.ids.length);
          const own = { model, prompt: prompt.ids, seed: seedOf(request.seed, at), maxNewTokens, vocabularySize };
          const question = { ...request, ...own };
          return ask(question, prompt.id, gate, { ...watch, signal });
        });
        return {
          completions: served.flatMap((all, prompt) => all.map((one): Completion => ({ prompt, ...one }))),
          logprobTemperature: logprobs === 'raw' ? 1 : request.temperature,
          metrics: { 'sampler/steps_behind': follows ? 0 : version },
          warnings: [
            ...(failures.length > 0 ? [askedAgain(failures)] : []),
            ...(request.temperature > 0 && served.every(areOne) ? [sameAll] : []),
          ],
        };
      } catch (error) {
        throw withoutKey(error, key);
      }
    },
    async [Symbol.asyncDispose]() {
      if (folder === undefined) return;
      await removeHandedOver(folder);
      await rmdir(folder).catch(() => {});
    },
  };
}

interface Watch {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly onFailure: (error: PostError) => void;
}

function addressOf(url: string): string {
  if (!URL.canParse(url) || !/^https?:/.test(url)) throw badOption('url', '`http://host:port`', `\`${url}\``);
  const { username, password, search, hash, origin, pathname } = new URL(url);
  if (username !== '' || password !== '' || search !== '' || hash !== '') {
    throw badOption(
      'url',
      'an address without a name, a password or a query: the key goes into the environment',
      'one',
    );
  }
  return `${origin}${pathname}`.replace(/\/+$/, '').replace(/\/v1$/, '');
}

function badOption(option: string, expected: string, received: string): KelpieError {
  const message = `the server that draws: expected ${expected}, got ${received}`;
  return new KelpieError(message, { code: 'bad-option', where: { option } });
}

/** Far apart for prompts that stand together: a server may count on from a seed for the completions of a prompt. */
function seedOf(seed: number, at: number): number {
  return (Math.imul(seed, 0x9e3779b1) + Math.imul(at + 1, 0x85ebca6b)) >>> 1;
}

/** Whether what was asked may be another process by now: not where it said that it is busy, or that a request is wrong. */
function mayBeRestarted(error: unknown): boolean {
  if (!(error instanceof PostError)) return false;
  const { status } = error.facts;
  return status === undefined || status >= 500;
}

function notDrawn(error: PostError, where: { readonly server: string; readonly row: string }): KelpieError {
  const { attempts = 1, status } = error.facts;
  return new KelpieError(`the completions of a prompt could not be drawn: ${error.message}`, {
    code: 'not-drawn',
    where: { ...where, attempts, ...(status !== undefined && { status }) },
    cause: error,
  });
}

function askedAgain(failures: readonly string[]): string {
  const times = failures.length === 1 ? 'once' : `${failures.length} times`;
  return `the server that draws failed ${times} and was asked again; the last: ${failures.at(-1)}`;
}

/** Whether several completions of a prompt, none of them short, are one. */
function areOne(served: readonly ServedCompletion[]): boolean {
  const [first, ...others] = served.map(({ ids }) => ids);
  return others.length > 0 && first!.length >= 4 && others.every((ids) => ids.join() === first!.join());
}

const sameAll =
  'the completions of each prompt are all the same: the server draws them with one seed, or the policy is sure of them; groups teach nothing so';

function hidden(text: string, key: string | undefined): string {
  return key ? text.replaceAll(key, '***') : text;
}

/** A server may repeat the key in what it complains of. */
function withoutKey(error: unknown, key: string | undefined): unknown {
  for (let at = error; at instanceof Error; at = at.cause) {
    at.message = hidden(at.message, key);
    if (at.stack !== undefined) at.stack = hidden(at.stack, key);
  }
  return error;
}
