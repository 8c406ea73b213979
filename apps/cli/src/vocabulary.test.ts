import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openTokenizer } from '@kelpie/policy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reviews, Workspace } from './testing/workspace.js';
import { vocabularyWarnings } from './vocabulary.js';

const root = mkdtempSync(join(tmpdir(), 'kelpie-vocabulary-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const shared = resolve(fileURLToPath(new URL('../../..', import.meta.url)), process.env.KELPIE_SHARED ?? '../shared');

const words = { '<unk>': 0, a: 1, b: 2, c: 3, d: 4, e: 5 };
const wordLevel = { type: 'WordLevel', vocab: words, unk_token: '<unk>' };
const special = (id: number, content: string) => ({ id, content, special: true, normalized: false });

/** What is said of a tokenizer of six words, and more, beside a model with so many entries. */
async function said(entries: number, files: Readonly<Record<string, object>> = {}): Promise<string> {
  const folder = mkdtempSync(join(root, 't-'));
  const plain = { pre_tokenizer: { type: 'WhitespaceSplit' }, model: wordLevel };
  const { 'tokenizer.json': own, ...others } = files;
  const all = { 'tokenizer.json': { ...plain, ...own }, ...others };
  for (const [name, content] of Object.entries(all)) writeFileSync(join(folder, name), JSON.stringify(content));
  const tokenizer = await openTokenizer(folder);
  const readable = (text: string) => text.replaceAll(folder, 'FOLDER');
  try {
    return readable(vocabularyWarnings(tokenizer, entries).join('\n'));
  } catch (error) {
    const { name, message } = error as Error;
    return readable(`${name}: ${message}`);
  }
}

const refused = (why: string, entries: number) =>
  `UsageError: the tokenizer in \`FOLDER\` is not the model's: ${why}, but the model's vocabulary has ${entries} entries; name the model's own with \`--tokenizer\``;

describe('a tokenizer beside a model', () => {
  it('may know as many tokens as the model, or fewer, as vocabularies are padded', async () => {
    for (const entries of [6, 7, 12]) expect(await said(entries)).toBe('');
  });

  it('is told if it knows less than half', async () => {
    expect(await said(13)).toBe(
      "the tokenizer in `FOLDER` has 6 tokens, and the model's vocabulary 13 entries: is it the model's own?",
    );
  });

  it('is refused if it cuts texts into pieces that the model does not have', async () => {
    expect(await said(5)).toBe(refused('its pieces go up to `e` (id 5)', 5));
    const pieces = [...'_abcdef'].map((piece): [string, number] => [piece, -1]);
    const unigram = { model: { type: 'Unigram', unk_id: 0, vocab: pieces } };
    expect(await said(4, { 'tokenizer.json': unigram })).toBe(refused('its pieces go up to `f` (id 6)', 4));
  });

  it('may have added tokens that the model was not enlarged for', async () => {
    const pad = { added_tokens: [special(6, '<pad>')] };
    expect(await said(7, { 'tokenizer.json': pad })).toBe('');
    expect(await said(6, { 'tokenizer.json': pad })).toBe(
      "the tokenizer in `FOLDER` has added tokens beyond the model's vocabulary of 6 entries, `<pad>` (id 6): rows with them are refused",
    );
    const think = {
      added_tokens: ['<think>', '</think>', '<call>', '</call>'].map((content, i) => ({ id: 6 + i, content })),
    };
    expect(await said(6, { 'tokenizer.json': think })).toMatch(/`<call>` \(id 8\) and 1 more: rows/);
    const listed = { added_tokens: [special(5, 'e')] };
    expect(await said(5, { 'tokenizer.json': listed })).toMatch(/has added tokens beyond .* `e` \(id 5\)/);
    const decoder = { added_tokens_decoder: { 6: { content: '<late>', special: false } } };
    expect(await said(6, { 'tokenizer_config.json': decoder })).toMatch(/has added tokens beyond .* `<late>` \(id 6\)/);
  });

  it('is refused if the end token is beyond the vocabulary', async () => {
    const end = { added_tokens: [special(6, '<end>')] };
    const config = { 'tokenizer.json': end, 'tokenizer_config.json': { eos_token: '<end>' } };
    expect(await said(7, config)).toBe('');
    expect(await said(6, config)).toBe(refused('its end token is `<end>` (id 6)', 6));
  });

  it('is refused if what it puts before every text is', async () => {
    const begin = {
      added_tokens: [special(6, '<begin>')],
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<begin>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
        pair: [],
        special_tokens: { '<begin>': { id: '<begin>', ids: [6], tokens: ['<begin>'] } },
      },
    };
    expect(await said(7, { 'tokenizer.json': begin })).toBe('');
    expect(await said(6, { 'tokenizer.json': begin })).toBe(refused('every text gets `<begin>` (id 6)', 6));
  });
});

describe.skipIf(!existsSync(join(shared, 'tokenizers')))(`real ones (skipped without ${shared})`, () => {
  it.each([
    ['models/TinyStories-656K', 2048],
    ['models/stories260K', 512],
    ['models/gpt-nano-sort', 3],
    ['tokenizers/phi-3-mini', 32064],
    ['tokenizers/gpt2', 50257],
    ['tokenizers/gpt2', 50304],
  ])('%s fits %i entries', async (name, entries) => {
    expect(vocabularyWarnings(await openTokenizer(join(shared, name)), entries)).toEqual([]);
  });

  it('of another model are refused or told', async () => {
    const phi = await openTokenizer(join(shared, 'tokenizers/phi-3-mini'));
    expect(() => vocabularyWarnings(phi, 2048)).toThrow('its end token is `<|endoftext|>` (id 32000)');
    const gpt2 = await openTokenizer(join(shared, 'tokenizers/gpt2'));
    expect(() => vocabularyWarnings(gpt2, 32064)).toThrow('its pieces go up to');
    const stories = await openTokenizer(join(shared, 'models/stories260K'));
    expect(vocabularyWarnings(stories, 2048)).toEqual([expect.stringContaining("is it the model's own?")]);
  });
});

describe('commands that open both', () => {
  const { at, kelpie, trainBase, dpoArgv } = new Workspace('vocabulary');
  const model = () => at('base', 'model');
  const larger = at('larger');

  beforeAll(async () => {
    await trainBase();
    const json = JSON.parse(readFileSync(join(reviews, 'base', 'tokenizer.json'), 'utf8'));
    json.model.vocab.unheard = 490;
    mkdirSync(larger);
    writeFileSync(join(larger, 'tokenizer.json'), JSON.stringify(json));
  });

  it.each<[string, (data: string) => string[]]>([
    ['train', () => dpoArgv(at('out'))],
    ['train --dry-run', () => [...dpoArgv(at('out')), '--dry-run']],
    [
      'train on prompts',
      (data) => ['train', 'grpo', '--model', model(), '--prompts', data, '--reward', 'length', '--out', at('out')],
    ],
    [
      'train on prompts --dry-run',
      (data) => [
        ...['train', 'grpo', '--model', model(), '--prompts', data, '--reward', 'length', '--out', at('out')],
        '--dry-run',
      ],
    ],
    ['generate', () => ['generate', '--model', model(), '-p', 'My review']],
    ['score', (data) => ['score', '--model', model(), '--data', data]],
    ['data check', (data) => ['data', 'check', data, '--model', model()]],
  ])('%s refuses a tokenizer with pieces that no row has yet', async (_, argv) => {
    const { code, err } = await kelpie([...argv(at('pairs.jsonl')), '--tokenizer', larger]);
    expect(err).toMatch(
      /error: the tokenizer in `ROOT\/larger` is not the model's: its pieces go up to `unheard` \(id 490\), but the model's vocabulary has 490 entries; name the model's own with `--tokenizer`\n$/,
    );
    expect(code).toBe(2);
    expect(existsSync(at('out'))).toBe(false);
  });

  it('train tells of a tokenizer that knows far less than the model, and goes on', async () => {
    const config = JSON.parse(readFileSync(at('config.json'), 'utf8'));
    writeFileSync(at('wide.json'), JSON.stringify({ ...config, vocab_size: 2000 }));
    const argv = ['train', 'sft', '--init', at('wide.json'), '--tokenizer', join(reviews, 'base')];
    const { code, err } = await kelpie([...argv, '--data', at('texts.jsonl'), '--out', at('wide'), '--dry-run']);
    expect(err).toContain(
      "warning: the tokenizer in `REVIEWS/base` has 490 tokens, and the model's vocabulary 2,000 entries: is it the model's own?\n",
    );
    expect(code).toBe(0);
  });
});
