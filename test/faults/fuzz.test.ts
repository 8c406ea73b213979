import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { loadPreferences } from '@kelpie/data';
import { dpo } from '@kelpie/objectives';
import { Engine, openTokenizer, type Tokenizer } from '@kelpie/policy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../apps/cli/src/config/read.js';
import { resolveConfig } from '../../apps/cli/src/config/resolve.js';
import { pairLines, pick, random, Scratch, seedOf, tinyModel, tokenizerFolder } from './fixture.js';
import { mutateBytes, mutateJson, nestDeeply } from './mutate.js';
import { peakFromHere, seesPeaks } from './peak.js';
import { putTogether, takeApart, withHeader } from './tensors.js';

const count = Number(process.env.KELPIE_FUZZ ?? 2000);
const seed = seedOf();
const only = process.env.KELPIE_FUZZ_CASE;
/** Of the mutations, so many are refused at least; a case taken alone may be any. */
const expectShare = (refused: number, share: number) => {
  if (only === undefined) expect(refused).toBeGreaterThan(count * share);
};
const scratch = new Scratch();
afterAll(() => scratch.remove());

/** The longest that one file may take to be read or refused. */
const limitMs = 2000;
/** What one file may take in memory at its peak: so much, and a multiple of its size. Garbage not yet collected counts. */
const limitBytes = (size: number) => 64 * 2 ** 20 + 50 * size;

interface Target {
  /** The file that is spoilt. */
  readonly file: string;
  readonly mutate: (next: () => number) => Buffer;
  readonly read: () => Promise<unknown>;
  /** Files that an error may name: the spoilt one, or one that it contradicts. */
  readonly names?: readonly string[];
}

interface Verdict {
  refused: number;
  readonly bad: string[];
}

/** Errors that are of no one field, or list several in their text. */
const ofWholeFile = ['json', 'safetensors-header', 'weights', 'bad-rows', 'no-rows'];

/** What an error must be: one of ours, which names the file and, within the file, what is wrong. */
function complaintOf(error: unknown, names: readonly string[]): string | undefined {
  if (!(error instanceof Error) || !['KelpieError', 'DataError', 'UsageError'].includes(error.name)) {
    return `not one of ours: ${error instanceof Error ? error.stack : error}`;
  }
  if (!names.some((name) => error.message.includes(name))) return `names no file: ${error.message}`;
  // Its fields are in the text, `file:line:column: key`; bytes that are no UTF-8 are of no field.
  if (error.name === 'UsageError' && /:\d+:\d+: |^--config: cannot read /.test(error.message)) return undefined;
  const { code, where = {} } = error as { code?: string; where?: object };
  const fields = ['key', 'tensor', 'token', 'line'].some((field) => field in where);
  return fields || ofWholeFile.includes(code ?? '') ? undefined : `names no field: ${error.message}`;
}

/** Of the case that runs: its number, and when it began. Read by a thread that ends a process that hangs. */
const heart = new Float64Array(new SharedArrayBuffer(16));
const watchdog = new Worker(
  `const { workerData: { heart, limitMs, seed } } = require('node:worker_threads');
  setInterval(() => {
    const [number, began] = heart;
    if (began === 0 || Date.now() - began < 10 * limitMs) return;
    require('node:fs').writeSync(2, 'fuzz: case ' + number + ' of seed ' + seed + ' hangs\\n');
    process.kill(process.pid, 'SIGKILL');
  }, 1000);`,
  { eval: true, workerData: { heart, limitMs, seed } },
);
afterAll(() => watchdog.terminate());

async function fuzz(name: string, { file, mutate, read, names = [file] }: Target): Promise<Verdict> {
  const verdict: Verdict = { refused: 0, bad: [] };
  const good = readFileSync(file);
  console.log(`fuzz ${name}: seed ${seed}, ${count} mutations`);
  for (let i = 0; i < count && verdict.bad.length < 10; i++) {
    if (only !== undefined && Number(only) !== i) continue;
    const bytes = mutate(random(seed + i * 7919));
    writeFileSync(file, bytes);
    heart.set([i, Date.now()]);
    const grown = peakFromHere();
    const began = performance.now();
    let complaint: string | undefined;
    try {
      await read();
    } catch (error) {
      verdict.refused++;
      complaint = complaintOf(error, names);
    }
    const ms = performance.now() - began;
    const taken = grown();
    if (ms > limitMs) complaint ??= `took ${Math.round(ms)} ms`;
    if (taken > limitBytes(bytes.length)) complaint ??= `took ${Math.round(taken / 2 ** 20)} MiB`;
    if (complaint !== undefined) {
      verdict.bad.push(`case ${i} of seed ${seed} (${bytes.length} bytes): ${complaint}`);
      if (only !== undefined) console.log(bytes.toString('utf8').slice(0, 3000));
    }
  }
  heart.set([0, 0]);
  writeFileSync(file, good);
  console.log(`fuzz ${name}: ${verdict.refused} of ${count} refused`);
  return verdict;
}

/** Of a JSON file, most mutations keep to JSON: else few would get behind its parser. */
function jsonOrBytes(good: Buffer, next: () => number): Buffer {
  if (next() < 0.05) return nestDeeply(good, next);
  if (next() < 0.25) return mutateBytes(good, next);
  return Buffer.from(JSON.stringify(mutateJson(JSON.parse(good.toString()), next)) ?? '');
}

const timeout = Math.max(120_000, count * 100);

describe('fuzz', () => {
  const model = scratch.at('model');
  let tokenizer: Tokenizer;
  const open = async () => {
    const policy = await Engine.open({ model, threads: 1 });
    await policy.dispose();
  };

  beforeAll(async () => {
    await tinyModel(model);
    tokenizer = await openTokenizer(tokenizerFolder);
  });

  it.skipIf(!seesPeaks)(
    'sees memory that is given back before a file is read (skipped where the system shows no peaks)',
    async () => {
      const grown = peakFromHere();
      Buffer.alloc(150 * 2 ** 20).fill(1);
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(grown()).toBeGreaterThan(limitBytes(1000));
      expect(peakFromHere()()).toBeLessThan(limitBytes(1000));
    },
  );

  it('safetensors', { timeout }, async () => {
    const file = join(model, 'model.safetensors');
    const good = readFileSync(file);
    const parts = takeApart(file);
    const mutate = (next: () => number) => {
      if (next() < 0.4) return mutateBytes(good, next);
      if (next() < 0.05) return withHeader(nestDeeply(Buffer.from(JSON.stringify(parts.header)), next), parts.data);
      const header = mutateJson(parts.header, next);
      const length = next() < 0.15 ? BigInt(Math.floor(2 ** (next() * 63))) : undefined;
      return putTogether({ header, data: parts.data }, length);
    };
    const { bad, refused } = await fuzz('safetensors', { file, mutate, read: open });
    expect(bad.join('\n')).toBe('');
    expectShare(refused, 1 / 2);
  });

  it('config.json', { timeout }, async () => {
    const file = join(model, 'config.json');
    const good = readFileSync(file);
    const names = [file, join(model, 'model.safetensors')];
    const mutate = (next: () => number) => jsonOrBytes(good, next);
    const { bad, refused } = await fuzz('config.json', { file, mutate, read: open, names });
    expect(bad.join('\n')).toBe('');
    expectShare(refused, 1 / 4);
  });

  it('tokenizer.json', { timeout }, async () => {
    const folder = scratch.at('tokenizer');
    mkdirSync(folder);
    for (const name of readdirSync(tokenizerFolder)) {
      writeFileSync(join(folder, name), readFileSync(join(tokenizerFolder, name)));
    }
    const file = join(folder, 'tokenizer.json');
    const good = readFileSync(file);
    const text = 'Last night at the cinema: "Midnight Forest", a comedy. <eos> 🦊\n';
    const read = async () => {
      const opened = await openTokenizer(folder);
      opened.decode(opened.encode(text));
      opened.decode(opened.encode(''), { skipSpecialTokens: true });
    };
    const mutate = (next: () => number) => jsonOrBytes(good, next);
    const { bad, refused } = await fuzz('tokenizer.json', { file, mutate, read });
    expect(bad.join('\n')).toBe('');
    expectShare(refused, 1 / 20);
  });

  it('JSONL', { timeout }, async () => {
    const lines = pairLines(4);
    const file = scratch.write('pairs.jsonl', lines.join('\n'));
    const good = readFileSync(file);
    const read = () => loadPreferences({ files: [file], tokenizer, maxLength: 128, vocabularySize: 490 });
    const mutate = (next: () => number) => {
      if (next() < 0.05) return nestDeeply(good, next);
      if (next() < 0.4) return mutateBytes(good, next);
      const at = Math.floor(next() * lines.length);
      const spoilt = JSON.stringify(mutateJson(JSON.parse(lines[at]!), next)) ?? '';
      return Buffer.from(
        lines.map((line, i) => (i === at ? spoilt : line)).join(pick(next, ['\n', '\n', '\r\n', '\n\n'])),
      );
    };
    const { bad, refused } = await fuzz('JSONL', { file, mutate, read });
    expect(bad.join('\n')).toBe('');
    expectShare(refused, 1 / 4);
  });

  it('YAML configs', { timeout }, async () => {
    const file = scratch.write('run.yaml', yaml);
    const read = async () => resolveConfig(dpo, readConfig(file));
    const mutate = (next: () => number) => {
      if (next() < 0.05) return nestDeeply(Buffer.from(yaml), next);
      if (next() < 0.4) return mutateBytes(Buffer.from(yaml), next);
      if (next() < 0.5) return Buffer.from(JSON.stringify(mutateJson(config, next), null, 2) ?? '');
      const lines = yaml.split('\n');
      const at = Math.floor(next() * lines.length);
      return Buffer.from(lines.toSpliced(at, Math.floor(next() * 2), pick(next, yamlLines)).join('\n'));
    };
    const { bad, refused } = await fuzz('YAML configs', { file, mutate, read });
    expect(bad.join('\n')).toBe('');
    expectShare(refused, 1 / 4);
  });
});

const config = {
  objective: { name: 'dpo', beta: 0.2, labelSmoothing: 0.1 },
  model: { path: 'base', threads: 2 },
  lora: { rank: 8, targets: ['q_proj', 'v_proj'] },
  data: { files: ['a.jsonl', 'b.jsonl'], columns: { prompt: 'question' }, maxLength: 100 },
  training: { learningRate: 1e-5, epochs: 2, shuffle: false, schedule: 'cosine' },
  output: { folder: 'out', merge: true },
};

const yaml = `# A run.
objective:
  name: dpo
  beta: 0.2
model: { path: base, threads: 2 }
lora: &lora
  rank: 8
  targets: [q_proj, v_proj]
data:
  files: # two
    - a.jsonl
    - b.jsonl
  columns:
    prompt: "question"
training:
  learningRate: 1e-5
  shuffle: false
  schedule: 'cosine'
output:
  folder: >-
    out
`;

/** Lines that YAML has a meaning for. */
const yamlLines = [
  '---',
  '...',
  '%YAML 1.1',
  'a: &a [x, x, x]',
  'b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]',
  'lora: *lora',
  'lora: *nowhere',
  '<<: *lora',
  '  beta: !!binary aGVsbG8=',
  '  beta: !!float .nan',
  '  beta: .inf',
  '  beta: 0x10',
  '  beta: 1_000',
  '  ? [a, b]\n  : c',
  '\tbeta: 1',
  'extends: run.yaml',
  'extends: [nowhere.yaml, /dev/null]',
  'objective: { name: dpo, name: sft }',
  '  __proto__: 1',
  'constructor: { prototype: 1 }',
  '  ~: 1',
  '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[',
];
