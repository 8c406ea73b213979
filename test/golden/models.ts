import { existsSync, realpathSync, statSync } from 'node:fs';
import { readdir, readFile, realpath } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Engine, modelTypes } from '@kelpie/policy';
import { Check } from './check.js';
import type { GoldenFile } from './golden-file.js';
import { scaledCopy } from './reference.js';
import { describing, type Place, sections } from './sections.js';

const usage = `usage: npm run golden:models -- DIR [--weights DIR2]

Checks every folder under DIR that holds a golden.json. Its weights (model.safetensors or
model.safetensors.index.json, with config.json) stand beside it or in the same place under DIR2.`;

export const totals = { passed: 0, failed: 0, skipped: 0 };

function say(outcome: keyof typeof totals, folder: string, section: string, text: string): void {
  totals[outcome]++;
  const mark = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' }[outcome];
  console.log(`${mark} ${folder || '.'}  ${section}: ${text}`);
}

interface Arguments {
  readonly folder: string;
  readonly weights?: string;
}

/** Relative folders count from where npm was started. */
function readArguments(): Arguments | string {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { weights: { type: 'string' } } });
    const [folder, ...more] = positionals;
    if (folder === undefined || more.length > 0) return `expected one folder, got ${positionals.length}`;
    const from = (path: string) => resolve(process.env.INIT_CWD ?? process.cwd(), path);
    for (const path of [folder, ...(values.weights === undefined ? [] : [values.weights])]) {
      if (!statSync(from(path), { throwIfNoEntry: false })?.isDirectory()) return `\`${path}\` is no folder`;
    }
    return { folder: from(folder), ...(values.weights === undefined ? {} : { weights: from(values.weights) }) };
  } catch (error) {
    return messageOf(error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Folders with a golden.json, in order of names. Links are followed, but not to a folder that they stand in. */
export async function goldenFolders(folder: string, ancestors: readonly string[] = []): Promise<string[]> {
  const real = await realpath(folder);
  if (ancestors.includes(real)) return [];
  const found: string[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    if (name === 'golden.json') found.push(folder);
    else if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
      found.push(...(await goldenFolders(path, [...ancestors, real])));
  }
  return found.sort();
}

function hasWeights(folder: string): boolean {
  const has = (name: string) => existsSync(join(folder, name));
  return has('config.json') && (has('model.safetensors') || has('model.safetensors.index.json'));
}

async function readJson(file: string): Promise<Record<string, unknown>> {
  const value: unknown = JSON.parse(await readFile(file, 'utf8'));
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${file}: expected an object`);
  return value as Record<string, unknown>;
}

export async function checkFolder(goldenFolder: string, { folder: root, weights }: Arguments): Promise<void> {
  const name = relative(root, goldenFolder);
  const candidates = [goldenFolder, ...(weights === undefined ? [] : [join(weights, name)])];
  const folder = candidates.find(hasWeights);
  if (folder === undefined) {
    say('failed', name, 'weights', `no config.json with model.safetensors in ${candidates.join(' or ')}`);
    return;
  }
  let golden: GoldenFile;
  let modelType: unknown;
  try {
    ({ model_type: modelType } = await readJson(join(folder, 'config.json')));
    if (typeof modelType === 'string' && !modelTypes().includes(modelType)) {
      say('skipped', name, modelType, `this model_type is not supported yet; there are ${modelTypes().join(', ')}`);
      return;
    }
    golden = (await readJson(join(goldenFolder, 'golden.json'))) as GoldenFile;
  } catch (error) {
    say('failed', name, 'json', messageOf(error));
    return;
  }
  const known = new Set([...describing, ...sections.map((section) => section.name)]);
  const strange = Object.keys(golden).filter((key) => !known.has(key));
  if (strange.length > 0) console.log(`note ${name || '.'}  not checked, of no known meaning: ${strange.join(', ')}`);
  const present = sections.filter((section) => section.present(golden));
  if (present.length === 0) say('failed', name, 'golden.json', 'it holds no section that is known');
  const reference = golden.reference ?? { tensor: lastNorms.get(String(modelType)) ?? 'model.norm.weight', times: 0.5 };
  await checkSections(name, present, { golden, folder, goldenFolder }, reference);
}

/** Weights of the last norm, where it is not `model.norm.weight`: files may name their reference in words alone. */
const lastNorms: ReadonlyMap<string, string> = new Map([['gpt2', 'transformer.ln_f.weight']]);

async function checkSections(
  name: string,
  present: typeof sections,
  place: Omit<Place, 'open'>,
  described: NonNullable<GoldenFile['reference']>,
): Promise<void> {
  let copy: ReturnType<typeof scaledCopy> | undefined;
  const open: Place['open'] = async ({ reference = false } = {}) => {
    if (reference) copy ??= scaledCopy(place.folder, described);
    return Engine.open({
      model: place.folder,
      threads: 1,
      ...(reference ? { reference: (await copy!).folder } : {}),
    });
  };
  for (const section of present) {
    const check = new Check();
    try {
      await section.run({ ...place, open }, check);
      say(check.passed ? 'passed' : 'failed', name, section.name, check.summary);
    } catch (error) {
      say('failed', name, section.name, messageOf(error));
    }
  }
  await copy?.then(({ remove }) => remove()).catch(() => {});
}

async function main(): Promise<void> {
  const given = readArguments();
  if (typeof given === 'string') {
    console.error(`${given}\n\n${usage}`);
    process.exitCode = 2;
    return;
  }
  const folders = await goldenFolders(given.folder);
  if (folders.length === 0) console.log(`no golden.json under ${given.folder}`);
  for (const folder of folders) await checkFolder(folder, given);
  console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  if (totals.failed > 0 || totals.passed === 0) process.exitCode = 1;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
