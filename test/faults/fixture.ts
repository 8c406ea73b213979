import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Engine } from '@kelpie/policy';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The built command. */
export const bin = here('../../apps/cli/bin/kelpie.js');
export const built = existsSync(here('../../apps/cli/dist/main.js'));
const reviews = here('../../datasets/film-reviews');
export const tokenizerFolder = join(reviews, 'base');

/** A folder for the tests of one file. */
export class Scratch {
  readonly root = mkdtempSync(join(tmpdir(), 'kelpie-faults-'));
  at(...path: string[]): string {
    return join(this.root, ...path);
  }
  write(name: string, content: string | Uint8Array): string {
    const file = this.at(name);
    writeFileSync(file, content);
    return file;
  }
  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Of a llama with one small layer, for the tokenizer of the film reviews. */
export function tinyConfig(): Record<string, unknown> {
  return {
    ...JSON.parse(readFileSync(join(tokenizerFolder, 'config.json'), 'utf8')),
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 8,
  };
}

/** A model folder with seeded random weights and the tokenizer of the film reviews. */
export async function tinyModel(folder: string): Promise<string> {
  const config = `${folder}.config.json`;
  writeFileSync(config, JSON.stringify(tinyConfig()));
  const policy = await Engine.open({ init: { config, seed: 1 }, threads: 1 });
  await policy.save(folder, { tokenizer: tokenizerFolder });
  await policy.dispose();
  return folder;
}

/** The first pairs of the film reviews. */
export function pairLines(count: number): string[] {
  return readFileSync(join(reviews, 'pairs.jsonl'), 'utf8').split('\n').slice(0, count);
}

/** Prompts of the film reviews, a row each. */
export function promptLines(count: number): string[] {
  return pairLines(count).map((line, i) => JSON.stringify({ id: `p${i}`, prompt: JSON.parse(line).prompt }));
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when the text on both streams matches. */
  says(pattern: RegExp): Promise<void>;
}

/** The built command as a process of its own; `shell` runs before it, in the same process. */
export function start(
  argv: readonly string[],
  { shell, env: own }: { readonly shell?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Running {
  const command = [process.execPath, bin, ...argv];
  // As typed by hand: npm, which may run these tests, is not seen.
  const { npm_command: _, ...env } = process.env;
  const options = { env: { ...env, NO_COLOR: '1', ...own }, stdio: 'pipe' } as const;
  const child =
    shell === undefined
      ? spawn(command[0]!, command.slice(1), options)
      : spawn('bash', ['-c', `${shell}; exec "$@"`, 'bash', ...command], options);
  const text = { out: '', err: '' };
  const waiting = new Set<() => void>();
  const take = (name: 'out' | 'err') => (chunk: Buffer) => {
    text[name] += chunk.toString();
    for (const look of [...waiting]) look();
  };
  child.stdout.on('data', take('out'));
  child.stderr.on('data', take('err'));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...text }));
  });
  const says = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!pattern.test(text.out + text.err)) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
      ended.then(() => reject(new Error(`it ended without saying ${pattern}:\n${text.out}${text.err}`)), reject);
    });
  return { child, ended, says };
}

/** Numbers from 0 to 1 that a seed decides on (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function pick<T>(next: () => number, items: readonly T[]): T {
  return items[Math.floor(next() * items.length)]!;
}

/** `KELPIE_SEED`, or another each time; tell it. */
export function seedOf(): number {
  return Number(process.env.KELPIE_SEED ?? Math.floor(Math.random() * 2 ** 31));
}
