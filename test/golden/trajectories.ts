import { statSync } from 'node:fs';
import { readdir, readFile, realpath } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Dtype } from './trajectories/comparison.js';
import { NotYet } from './trajectories/fields.js';
import { replay } from './trajectories/replay.js';

const usage = `usage: npm run golden:trajectories -- DIR [--models DIR2] [--dtype float64]

Trains again, step by step, every recorded run under DIR: each .json whose format is trajectory/1. Models are
looked up by name in DIR2 (default: \${KELPIE_SHARED:-../shared}/models); adapters lie under DIR.`;

const totals = { passed: 0, failed: 0, skipped: 0 };

function say(outcome: keyof typeof totals, name: string, text: string): void {
  totals[outcome]++;
  const mark = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' }[outcome];
  console.log(`${mark} ${name}  ${text}`);
}

interface Arguments {
  readonly folder: string;
  readonly models: string;
  readonly dtype: Dtype;
}

/** Relative folders count from where npm was started; the default ones from the repository. */
function readArguments(): Arguments | string {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { models: { type: 'string' }, dtype: { type: 'string', default: 'float32' } },
    });
    const { dtype } = values;
    if (dtype !== 'float32' && dtype !== 'float64') return `--dtype is float32 or float64, got \`${dtype}\``;
    const [given, ...more] = positionals;
    if (given === undefined || more.length > 0) return `expected one folder, got ${positionals.length}`;
    const from = (path: string) => resolve(process.env.INIT_CWD ?? process.cwd(), path);
    const repository = fileURLToPath(new URL('../../../', import.meta.url));
    const folder = from(given);
    const models =
      values.models === undefined
        ? resolve(repository, process.env.KELPIE_SHARED ?? '../shared', 'models')
        : from(values.models);
    for (const path of [folder, models]) {
      if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return `\`${path}\` is no folder`;
    }
    return { folder, models, dtype };
  } catch (error) {
    return messageOf(error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Every .json at any depth, in order of names, links followed once. */
async function jsonFiles(folder: string, seen = new Set<string>()): Promise<string[]> {
  const real = await realpath(folder);
  if (seen.has(real)) return [];
  seen.add(real);
  const found: string[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory()) found.push(...(await jsonFiles(path, seen)));
    else if (stat?.isFile() && name.endsWith('.json')) found.push(path);
  }
  return found;
}

async function checkFile(file: string, { folder, models, dtype }: Arguments): Promise<void> {
  const name = relative(folder, file).replace(/\.json$/, '');
  try {
    const json = JSON.parse(await readFile(file, 'utf8')) as { readonly format?: unknown } | null;
    const format = json?.format;
    if (typeof format !== 'string' || !format.startsWith('trajectory/')) return;
    if (format !== 'trajectory/1') throw new NotYet(`the format ${format} does not exist yet`);
    const comparison = await replay(json, { file, folder, models, dtype });
    say(comparison.passed ? 'passed' : 'failed', name, comparison.summary);
  } catch (error) {
    say(error instanceof NotYet ? 'skipped' : 'failed', name, messageOf(error));
  }
}

const given = readArguments();
if (typeof given === 'string') {
  console.error(`${given}\n\n${usage}`);
  process.exitCode = 2;
} else {
  for (const file of await jsonFiles(given.folder)) await checkFile(file, given);
  const { passed, failed, skipped } = totals;
  if (passed + failed + skipped === 0) console.log(`no trajectory under ${given.folder}`);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  if (failed > 0 || passed === 0) process.exitCode = 1;
}
