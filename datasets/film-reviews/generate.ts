/**
 * Writes the film review set, the same bytes for the same seed, and prints a checksum for each file.
 *
 *   node datasets/dist/film-reviews/generate.js [OUT] [--check]
 *
 * OUT is the folder to write to, by default the one the set ships in. With `--check` nothing is written: the files found
 * are compared with what would be, and a stale or missing one ends the run with exit code 1. The counts and checksums
 * inside `card.md` are generated too, wherever OUT has a card.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { makePrompt, makeReview, type Prompt, pieces, type Rng } from './grammar.js';
import { modelConfig, parameterCount, tokenizerConfig, tokenizerFile, vocabularyOf } from './tokenizer.js';

export const defaults = { seed: 20240229, pairs: 3000, heldout: 300, texts: 7000, margin: 6 };
export type Options = typeof defaults;

export interface PairRow {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
  readonly chosen_score: number;
  readonly rejected_score: number;
}

export interface TextRow {
  readonly text: string;
}

/** Reviews drawn only to list the words of the grammar; the rarest form comes up about once in 2,000. */
const vocabularyDraws = 40_000;

const here = dirname(fileURLToPath(import.meta.url));
/** The folder the set ships in, seen from the source and from `dist` alike. */
export const home = basename(dirname(here)) === 'dist' ? resolve(here, '../..', basename(here)) : here;

/** A file's text by its path inside the set. */
export type Files = ReadonlyMap<string, string>;

export function generate(options: Partial<Options> = {}): { files: Files; card: string } {
  const { seed, pairs, heldout, texts, margin } = { ...defaults, ...options };
  const rng = xoroshiro128plus(seed);
  const freshPrompt = uniquePrompts(rng);
  const rows = {
    pairs: Array.from({ length: pairs }, (_, i) => makePair(rng, freshPrompt(), margin, i % 2 === 0)),
    heldout: Array.from({ length: heldout }, (_, i) => makePair(rng, freshPrompt(), margin, i % 2 === 0)),
    texts: Array.from({ length: texts }, (_, i) => makeText(rng, freshPrompt(), wantedSigns[i % wantedSigns.length]!)),
  };
  const vocabulary = vocabularyOf(wordSources(xoroshiro128plus(seed + 1)));
  const config = { ...modelConfig, vocab_size: vocabulary.size };
  const files = new Map([
    ['pairs.jsonl', jsonl(rows.pairs)],
    ['heldout.jsonl', jsonl(rows.heldout)],
    ['texts.jsonl', jsonl(rows.texts.map(({ text }) => ({ text })))],
    ['base/config.json', json(config)],
    ['base/tokenizer.json', json(tokenizerFile(vocabulary))],
    ['base/tokenizer_config.json', json(tokenizerConfig)],
  ]);
  return { files, card: describe(files, rows, parameterCount(config), vocabulary.size) };
}

const jsonl = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const json = (value: object): string => `${JSON.stringify(value, null, 1)}\n`;

/** Draws prompts and never the same twice, so the files share none. */
function uniquePrompts(rng: Rng): () => Prompt {
  const used = new Set<string>();
  return () => {
    let prompt = makePrompt(rng);
    while (used.has(prompt.text)) prompt = makePrompt(rng);
    used.add(prompt.text);
    return prompt;
  };
}

/** Two reviews whose scores are at least `margin` apart; the better one is the longer one (in tokens) or the shorter. */
function makePair(rng: Rng, prompt: Prompt, margin: number, betterIsLonger: boolean): PairRow {
  for (;;) {
    const [one, other] = [makeReview(rng, prompt), makeReview(rng, prompt)];
    const [chosen, rejected] = one.score > other.score ? [one, other] : [other, one];
    const longer = pieces(chosen.text).length - pieces(rejected.text).length;
    if (chosen.score - rejected.score < margin || longer === 0 || longer > 0 !== betterIsLonger) continue;
    return {
      prompt: prompt.text,
      chosen: chosen.text,
      rejected: rejected.text,
      chosen_score: chosen.score,
      rejected_score: rejected.score,
    };
  }
}

/** Of every twenty plain texts nine are positive, nine negative and two come out even. */
const wantedSigns = Array.from({ length: 20 }, (_, i) => (i >= 18 ? 0 : i % 2 === 0 ? 1 : -1));

function makeText(rng: Rng, prompt: Prompt, sign: number): TextRow & { score: number } {
  for (;;) {
    const review = makeReview(rng, prompt);
    if (Math.sign(review.score) === sign) return { text: prompt.text + review.text, score: review.score };
  }
}

function* wordSources(rng: Rng): Generator<string> {
  for (let i = 0; i < vocabularyDraws; i++) {
    const prompt = makePrompt(rng);
    yield prompt.text;
    yield makeReview(rng, prompt).text;
  }
}

interface Rows {
  readonly pairs: readonly PairRow[];
  readonly heldout: readonly PairRow[];
  readonly texts: readonly (TextRow & { score: number })[];
}

/** The generated part of `card.md`. */
function describe(files: Files, { pairs, heldout, texts }: Rows, parameters: number, words: number): string {
  const all = [...pairs, ...heldout];
  const chosen = all.map((row) => row.chosen_score);
  const rejected = all.map((row) => row.rejected_score);
  const plain = texts.map((row) => row.score);
  const margins = all.map((row) => row.chosen_score - row.rejected_score);
  const lengths = [
    ...all.flatMap((row) => [row.prompt + row.chosen, row.prompt + row.rejected]),
    ...texts.map((row) => row.text),
  ].map((text) => pieces(text).length + 2);
  const bytes = [...files.values()].map((text) => Buffer.byteLength(text));
  return [
    '| file | rows | bytes | SHA-256 |',
    '| --- | --- | --- | --- |',
    ...[...files].map(([path, text]) => {
      const rows = path.endsWith('.jsonl') ? text.split('\n').length - 1 : '';
      return `| \`${path}\` | ${rows} | ${Buffer.byteLength(text)} | \`${sha256(text)}\` |`;
    }),
    '',
    `Together ${bytes.reduce((a, b) => a + b, 0)} bytes. Vocabulary: ${words} tokens. The base model: ${parameters} parameters.`,
    '',
    '| | lowest | mean | highest |',
    '| --- | --- | --- | --- |',
    spread('score of a chosen review, points', chosen),
    spread('score of a rejected review, points', rejected),
    spread('margin of a pair, points', margins),
    spread('score of a plain text, points', plain),
    spread('length of a row, tokens with `<bos>` and `<eos>`', lengths),
  ].join('\n');
}

function spread(name: string, numbers: readonly number[]): string {
  const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length;
  return `| ${name} | ${Math.min(...numbers)} | ${mean.toFixed(2)} | ${Math.max(...numbers)} |`;
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const generatedPart = /(<!-- generated -->\n)[\s\S]*?(\n<!-- end of generated -->)/;

/** What the folder should hold, its card included if it has one. */
function expected(folder: string): Files {
  const { files, card } = generate();
  const path = join(folder, 'card.md');
  if (!existsSync(path)) return files;
  const text = readFileSync(path, 'utf8').replace(generatedPart, (_, before, after) => before + card + after);
  return new Map([...files, ['card.md', text]]);
}

/** The paths that are missing or differ from what the generator writes. */
export function stale(folder: string): readonly string[] {
  return [...expected(folder)]
    .filter(([path, text]) => !existsSync(join(folder, path)) || readFileSync(join(folder, path), 'utf8') !== text)
    .map(([path]) => path);
}

export function write(folder: string): Files {
  const files = expected(folder);
  for (const [path, text] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return files;
}

/** The command; returns its exit code. */
export function run(args: readonly string[], print: (line: string) => void = console.log): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { check: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  if (positionals.length > 1) throw new Error(`expected one folder, got ${positionals.length}: ${positionals}`);
  const folder = resolve(positionals[0] ?? home);
  if (!values.check) {
    for (const [path, text] of write(folder)) print(`${sha256(text)}  ${path}`);
    return 0;
  }
  const wrong = stale(folder);
  for (const path of wrong) print(`stale or missing: ${relative('.', join(folder, path))}`);
  if (wrong.length === 0) return 0;
  print('write the files again with `node datasets/dist/film-reviews/generate.js`');
  return 1;
}

const script = process.argv[1];
if (script !== undefined && existsSync(script) && realpathSync(script) === fileURLToPath(import.meta.url)) {
  process.exitCode = run(process.argv.slice(2));
}
