import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { describe, expect, test } from 'vitest';
import { defaults, generate, home, type PairRow, run, stale, type TextRow } from './generate.js';
import { makePrompt, makeReview, pieces } from './grammar.js';
import { readValences, score } from './score.js';
import { contextLength, type modelConfig, parameterCount, specialIds } from './tokenizer.js';

const read = (path: string): string => readFileSync(join(home, path), 'utf8');
const rowsOf = <T>(path: string): readonly T[] =>
  read(path)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);

const pairs = rowsOf<PairRow>('pairs.jsonl');
const heldout = rowsOf<PairRow>('heldout.jsonl');
const texts = rowsOf<TextRow>('texts.jsonl');
const bothPairs = [...pairs, ...heldout];
const tokenizer = new Tokenizer(
  JSON.parse(read('base/tokenizer.json')) as object,
  JSON.parse(read('base/tokenizer_config.json')) as object,
);
const completions = bothPairs.flatMap(({ prompt, chosen, rejected }) => [
  { prompt, completion: chosen },
  { prompt, completion: rejected },
]);
const allTexts = [
  ...completions.map(({ prompt, completion }) => prompt + completion),
  ...texts.map(({ text }) => text),
];
const promptOf = (text: string): string => text.match(/^[^"]*"[^"]*"[^:]*:|^[^:]*: "[^"]*"[^:]*:/)![0];
const mean = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0) / numbers.length;

describe('the files', () => {
  test('are what the generator writes', () => expect(stale(home)).toEqual([]));

  test('differ for another seed', () => {
    const other = generate({ seed: 1, pairs: 3, heldout: 2, texts: 4 }).files;
    expect(read('pairs.jsonl').startsWith(other.get('pairs.jsonl')!)).toBe(false);
    expect(other.get('base/tokenizer.json')!.length).toBeGreaterThan(5000);
  });

  test('are named when stale: an empty folder misses every one', () => {
    const folder = mkdtempSync(join(tmpdir(), 'film-reviews-'));
    try {
      expect(stale(folder)).toContain('base/tokenizer.json');
      expect(stale(folder)).toHaveLength(6);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('take less than 4 MB', () => {
    const sizes = ['pairs.jsonl', 'heldout.jsonl', 'texts.jsonl', 'base/tokenizer.json'].map(
      (path) => read(path).length,
    );
    expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThan(4e6);
  });
});

describe('the rows', () => {
  test('no prompt comes twice, in one file or in two', () => {
    const prompts = [...bothPairs.map(({ prompt }) => prompt), ...texts.map(({ text }) => promptOf(text))];
    expect(new Set(prompts).size).toBe(prompts.length);
  });

  test('the chosen review has the higher score by the margin, and is never the rejected one', () => {
    for (const row of bothPairs) {
      expect(row.chosen_score - row.rejected_score).toBeGreaterThanOrEqual(defaults.margin);
      expect(row.chosen).not.toBe(row.rejected);
    }
  });

  test.each([
    ['pairs', pairs],
    ['heldout', heldout],
  ])('length gives nothing away in %s: the chosen is the longer one half the time', (_, rows) => {
    const longer = rows.filter(({ chosen, rejected }) => pieces(chosen).length > pieces(rejected).length).length;
    expect(longer / rows.length).toBeGreaterThan(0.4);
    expect(longer / rows.length).toBeLessThan(0.6);
    const difference = mean(rows.map((row) => pieces(row.chosen).length - pieces(row.rejected).length));
    expect(Math.abs(difference)).toBeLessThan(2);
  });

  test('the plain texts are neutral: as many positive as negative, mean score near 0', () => {
    const scores = texts.map(({ text }) => score(text));
    expect(Math.abs(mean(scores))).toBeLessThan(0.25);
    expect(scores.filter((s) => s > 0)).toHaveLength(scores.filter((s) => s < 0).length);
  });

  test('few reviews come twice', () => {
    const reviews = [
      ...completions.map(({ completion }) => completion),
      ...texts.map(({ text }) => text.slice(promptOf(text).length)),
    ];
    expect(1 - new Set(reviews).size / reviews.length).toBeLessThan(0.01);
  });
});

describe('the score', () => {
  test('read from the text is what the generator counted, on every row', () => {
    for (const row of bothPairs) {
      expect(score(row.chosen)).toBe(row.chosen_score);
      expect(score(row.rejected)).toBe(row.rejected_score);
      expect(score(row.prompt)).toBe(0);
    }
  });

  test('read from the text is what the generator counted, on 20,000 fresh reviews (seed 7), within -32..32', () => {
    const rng = xoroshiro128plus(7);
    for (let i = 0; i < 20_000; i++) {
      const prompt = makePrompt(rng);
      const review = makeReview(rng, prompt);
      if (score(prompt.text + review.text) !== review.score) throw new Error(`${review.score}: ${review.text}`);
      expect(Math.abs(review.score)).toBeLessThanOrEqual(32);
    }
  });

  test.each([
    ['The plot is clever.', 2],
    ['The plot is very clever.', 3],
    ['The plot is rather thin, but the music is superb.', 2],
    ['The pacing is rather slow.', -1],
    ['The acting is truly awful.', -4],
    ['The plot is not clever.', -1],
    ['The jokes are never stale.', 1],
    ['I would not recommend it to anyone.', -2],
    ['superb superb superb', 9],
    ['not very good', -2],
    ['very, good', 2],
    ['VERY Good', 3],
    ['zebra 42 <unk>', 0],
    ['', 0],
  ])('%s scores %d', (text, points) => expect(score(text)).toBe(points));

  test('says what it read', () => {
    expect(readValences(' The plot is not clever, and the songs soar.')).toEqual([
      { words: ['not', 'clever'], points: -1 },
      { words: ['soar'], points: 3 },
    ]);
  });
});

describe('the tokenizer', () => {
  const encode = (text: string): number[] => tokenizer.encode(text).ids;

  test('puts <bos> in front, knows every word and gives every row back', () => {
    for (const text of allTexts) {
      const ids = encode(text);
      expect(ids[0]).toBe(specialIds.bos);
      expect(ids.length).toBe(pieces(text).length + 1);
      if (ids.includes(specialIds.unk)) throw new Error(`unknown word in: ${text}`);
      if (tokenizer.decode(ids, { skip_special_tokens: true }) !== text) throw new Error(`not given back: ${text}`);
    }
  });

  test('no token spans prompt and completion', () => {
    for (const { prompt, completion } of completions) {
      const apart = [...encode(prompt), ...tokenizer.encode(completion, { add_special_tokens: false }).ids];
      expect(encode(prompt + completion)).toEqual(apart);
    }
  });

  test('an unknown word is one <unk>, special tokens keep their ids', () => {
    expect(encode('Review zebras the plot')).toHaveLength(5);
    expect(encode('Review zebras the plot')[2]).toBe(specialIds.unk);
    expect(encode('<pad><eos><unk>')).toEqual([specialIds.bos, specialIds.pad, specialIds.eos, specialIds.unk]);
  });

  test('every row fits the context with <bos> and <eos>', () => {
    const lengths = allTexts.map((text) => encode(text).length + 1);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(contextLength);
    expect(mean(lengths)).toBeGreaterThan(40);
    expect(mean(lengths)).toBeLessThan(60);
  });

  test('the config of the base model has the vocabulary size and at most 1.5M parameters', () => {
    const config = JSON.parse(read('base/config.json')) as typeof modelConfig;
    expect(config.vocab_size).toBe(tokenizer.get_vocab().size);
    expect(parameterCount(config)).toBeLessThan(1.5e6);
  });
});

test('the command writes the files anywhere, checks them and names the one that was changed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'film-reviews-'));
  const lines: string[] = [];
  const command = (...args: string[]) => run(args, (line) => lines.push(line));
  try {
    expect(command(folder, '--check')).toBe(1);
    expect(command(folder)).toBe(0);
    expect(lines.filter((line) => /^[0-9a-f]{64} {2}/.test(line))).toHaveLength(6);
    expect(command(folder, '--check')).toBe(0);
    appendFileSync(join(folder, 'texts.jsonl'), ' ');
    lines.length = 0;
    expect(command(folder, '--check')).toBe(1);
    expect(lines[0]).toMatch(/texts\.jsonl$/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
