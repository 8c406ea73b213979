import { readdir, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { KelpieError, messageOf } from '@kelpie/policy';
import { PostError, type PostOptions, type PostTask, postPatiently } from '@kelpie/rewards';
import type { Passer } from './gate.js';
import { runShell } from './shell.js';

/**
 * How a server that draws gets the weights of each update, which are saved into a folder that it can read:
 *   vllm      POST /collective_rpc (`reload_weights` from the folder) and /reset_prefix_cache. The server is to be started
 *             with VLLM_SERVER_DEV_MODE=1
 *   sglang    POST /update_weights_from_disk, which empties its cache too
 *   posts     requests of one's own; `{folder}` in a body is the folder, `{step}` the step
 *   command   run by the shell, with KELPIE_MODEL_FOLDER and KELPIE_STEP in its environment; done when it ends with 0.
 *             It is not tried again: where a server may just be starting, it has to wait
 *   none      not at all: the server goes on drawing from the weights it has
 */
export type Handover =
  | 'vllm'
  | 'sglang'
  | 'none'
  | { readonly posts: readonly HandoverPost[] }
  | { readonly command: string };

export interface HandoverPost {
  /** Behind the server's address: `/update_weights_from_disk`. */
  readonly path: string;
  readonly body: unknown;
}

const known: Readonly<Record<'vllm' | 'sglang', readonly HandoverPost[]>> = {
  vllm: [
    { path: '/collective_rpc', body: { method: 'reload_weights', kwargs: { weights_path: '{folder}' } } },
    { path: '/reset_prefix_cache', body: {} },
  ],
  sglang: [{ path: '/update_weights_from_disk', body: { model_path: '{folder}' } }],
};

export interface HandoverOptions {
  /** The server's address, without `/v1`. */
  readonly address: string;
  readonly folder: string;
  readonly post: Omit<PostOptions, 'url'>;
  readonly commandTimeoutMs: number;
}

export interface Weights extends Passer {
  readonly version: number;
  readonly onFailure: NonNullable<PostTask<unknown>['onFailure']>;
}

/** Where weights of a version stand. */
export function folderOf(folder: string, version: number): string {
  return resolve(folder, `step-${String(version).padStart(6, '0')}`);
}

/** Has the server take the weights that stand in the folder of their version. Those of other versions are removed behind it. */
export async function handOver(
  how: Exclude<Handover, 'none'>,
  { version, row, signal, onFailure }: Weights,
  options: HandoverOptions,
): Promise<void> {
  const what = { folder: folderOf(options.folder, version), version, row };
  if (typeof how === 'object' && 'command' in how) await runCommand(how.command, what, signal, options);
  else await postAll(typeof how === 'string' ? known[how] : how.posts, what, { signal, onFailure }, options);
  await removeHandedOver(options.folder, what.folder);
}

/** Removes the weights of all versions but one. */
export async function removeHandedOver(folder: string, but?: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    const path = resolve(folder, name);
    if (/^step-\d{6,}$/.test(name) && path !== but) await rm(path, { recursive: true, force: true });
  }
}

interface What {
  readonly folder: string;
  readonly version: number;
  /** The prompt that waits for it. */
  readonly row: string;
}
type Watch = Pick<Weights, 'signal' | 'onFailure'>;

async function postAll(
  posts: readonly HandoverPost[],
  { folder, version, row }: What,
  { signal, onFailure }: Watch,
  { address, post }: HandoverOptions,
): Promise<void> {
  for (const { path, body } of posts) {
    const url = `${address}${path}`;
    const filled = JSON.stringify(body, (_, value) =>
      typeof value === 'string' ? value.replaceAll('{folder}', folder).replaceAll('{step}', `${version}`) : value,
    );
    const task = {
      body: filled,
      key: `${version}${path}`,
      signal,
      onFailure,
      read: (text: string) => requireTaken(text),
    };
    try {
      await postPatiently(task, { ...post, url });
    } catch (error) {
      signal.throwIfAborted();
      throw notTaken(error, { server: url, step: version, row });
    }
  }
}

/** SGLang says with status 200 that it failed. */
function requireTaken(text: string): void {
  const { success, message } = objectIn(text);
  if (success === false) throw new Error(`the server did not take them: ${String(message)}`);
}

function objectIn(text: string): { readonly success?: unknown; readonly message?: unknown } {
  try {
    return Object(JSON.parse(text)) as object;
  } catch {
    return {};
  }
}

async function runCommand(
  command: string,
  { folder, version, row }: What,
  signal: AbortSignal,
  { commandTimeoutMs }: HandoverOptions,
): Promise<void> {
  const env = { ...process.env, KELPIE_MODEL_FOLDER: folder, KELPIE_STEP: `${version}` };
  const stop = AbortSignal.any([signal, AbortSignal.timeout(commandTimeoutMs)]);
  const { failure, said } = await runShell(command, { env, signal: stop }).catch((error: unknown) => {
    signal.throwIfAborted();
    return { failure: stop.aborted ? `it took longer than ${commandTimeoutMs} ms` : messageOf(error), said: '' };
  });
  if (failure === undefined) return;
  const error = new Error(`\`${command}\`: ${failure}${said === '' ? '' : `, and said: ${said}`}`);
  throw notTaken(error, { step: version, row });
}

/** `row`: the prompt whose completions wait for it. */
function notTaken(error: unknown, where: Readonly<Record<string, string | number>>): KelpieError {
  const { attempts = 1 } = error instanceof PostError ? error.facts : {};
  const message = `the weights could not be handed over to the server that draws: ${messageOf(error)}`;
  return new KelpieError(message, { code: 'handover-failed', where: { ...where, attempts }, cause: error });
}
