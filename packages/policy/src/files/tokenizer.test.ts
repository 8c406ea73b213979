import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readChatTemplate } from './chat-template.js';
import { readJsonFile } from './json.js';
import { shared } from './shared-folder.test-helper.js';
import { openTokenizer } from './tokenizer.js';

interface Case {
  text: string;
  ids: number[];
  ids_with_special?: number[];
  decoded: string;
}

interface ChatCase {
  name: string;
  messages: { role: string; content: string }[];
  extra: Record<string, unknown>;
  add_generation_prompt: boolean;
  text?: string;
  error?: string;
}

const at = (...path: string[]) => join(shared!, ...path);
const json = async <Type>(...path: string[]) => JSON.parse(await readFile(at(...path), 'utf8')) as Type;

describe.skipIf(shared === undefined)("the Rust library's results", () => {
  test.each(['TinyStories-656K', 'stories260K'])('%s: ids and texts', async (name) => {
    const tokenizer = await openTokenizer(at('models', name));
    const { tokenizer: golden } = await json<{ tokenizer: { cases: Case[] } }>('models', name, 'golden.json');
    expect(golden.cases.length).toBeGreaterThan(5);
    for (const { text, ids, decoded } of golden.cases) {
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
      expect(tokenizer.encode(text)).toEqual([1, ...ids]);
      expect(tokenizer.decode(ids)).toBe(decoded);
    }
  });

  test.each(['gpt2', 'phi-3-mini', 'llama3-style-2k'])('%s: ids and texts', async (name) => {
    const tokenizer = await openTokenizer(at('tokenizers', name));
    const { cases } = await json<{ cases: Case[] }>('tokenizers', name, 'golden.json');
    expect(cases.length).toBeGreaterThan(5);
    for (const { text, ids, ids_with_special, decoded } of cases) {
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
      expect(tokenizer.encode(text)).toEqual(ids_with_special);
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(decoded);
    }
  });

  // transformers 5.23.0 on the same folders.
  test('ids beyond the vocabulary decode to nothing', async () => {
    const stories = await openTokenizer(at('models/TinyStories-656K'));
    expect(stories.decode([80, 147, 201, 9999, 189, 111])).toBe('Once upon');
    expect(stories.decode([85, 9999, 80])).toBe('a ');
    expect(stories.decode([9999])).toBe('');
    expect((await openTokenizer(at('models/stories260K'))).decode([85, 9999, 80])).toBe('RM');
  });

  // tokenizers 0.23.3 on the same tokenizer.json.
  test('an added token that is normalised is found where its normalised text is', async () => {
    const tokenizer = await openTokenizer(at('models/TinyStories-656K'));
    const expected: [string, number[], string][] = [
      ['<|end_story|>', [2], '<|end_story|>'],
      ['Once upon<|end_story|>', [80, 147, 201, 189, 111, 208, 183, 209, 210], 'Once upon<|end_story|>'],
      ['a <|end_story|> b', [85, 2, 80, 54], 'a <|end_story|> b'],
      ['x <|start_story|>Once', [80, 76, 1, 147, 682], 'x <|start_story|>Once'],
      ['<unk><unk>', [0, 23, 148, 63, 24], '<unk><unk>'],
    ];
    for (const [text, ids, decoded] of expected) {
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(decoded);
    }
    expect(tokenizer.decode([85, 2], { skipSpecialTokens: true })).toBe('a');
    expect(tokenizer.tokenText(2)).toBe('<|end_story|>');
  });
});

describe.skipIf(shared === undefined)('facts of real tokenizers', () => {
  test('ids of special tokens, ends, size, files', async () => {
    const stories = await openTokenizer(at('models/stories260K'));
    expect(stories).toMatchObject({
      bosTokenId: 1,
      eosTokenId: 2,
      unkTokenId: 0,
      eosTokens: [1, 2],
      vocabularySize: 512,
    });
    expect(stories.padTokenId).toBeUndefined();
    expect(stories.files).toEqual(['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']);
    expect(stories.hash).toMatch(/^[0-9a-f]{64}$/);
    const phi = await openTokenizer(at('tokenizers/phi-3-mini'));
    expect(phi).toMatchObject({
      bosTokenId: 1,
      eosTokenId: 32000,
      padTokenId: 32000,
      eosTokens: [32000],
      vocabularySize: 32011,
    });
    // As transformers 4.57.6 and 5.23.0: special tokens that the vocabulary lacks are appended to it.
    const llama3 = await openTokenizer(at('tokenizers/llama3-style-2k'));
    expect(llama3).toMatchObject({ bosTokenId: 2000, eosTokenId: 2001, vocabularySize: 2002 });
    expect(phi.decode([])).toBe('');
  });

  test('WordLevel: digits of gpt-nano-sort, and its unknown token', async () => {
    const tokenizer = await openTokenizer(at('models/gpt-nano-sort'));
    expect(tokenizer.encode('2 0 1  1')).toEqual([2, 0, 1, 1]);
    expect(tokenizer.encode('2 7')).toEqual([2, 0]);
    expect(tokenizer.decode([2, 0, 1])).toBe('2 0 1');
    expect(tokenizer).toMatchObject({ vocabularySize: 3, eosTokens: [] });
  });

  test.each(['phi-3-mini', 'qwen2.5'])('%s: chats as the real Jinja2 renders and refuses them', async (name) => {
    const { special_tokens: special, cases } = await json<{
      special_tokens: Record<string, string>;
      cases: ChatCase[];
    }>('tokenizers', name, 'chat_golden.json');
    const config = await readJsonFile(at('tokenizers', name, 'tokenizer_config.json'));
    const { template } = await readChatTemplate(at('tokenizers', name), config, special);
    expect(cases.length).toBeGreaterThan(5);
    for (const { name, messages, extra, add_generation_prompt: addGenerationPrompt, text } of cases) {
      const render = () => template!.render(messages, { addGenerationPrompt, variables: extra });
      if (text === undefined) expect(render, name).toThrow(/refuses these messages/);
      else expect(render(), name).toBe(text);
    }
  });

  test('a conversation through the whole tokenizer', async () => {
    const tokenizer = await openTokenizer(at('tokenizers/phi-3-mini'));
    const messages = [{ role: 'user', content: 'Hello!' }];
    expect(tokenizer.applyChatTemplate(messages)).toBe('<|user|>\nHello!<|end|>\n<|endoftext|>');
    const text = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
    expect(text).toBe('<|user|>\nHello!<|end|>\n<|assistant|>\n');
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    expect([ids[0], ids.at(-1)]).toEqual([32010, 32001]);
    const plain = await openTokenizer(at('models/stories260K'));
    expect(() => plain.applyChatTemplate(messages)).toThrow(/no chat template: put one into `chat_template.jinja`/);
  });
});

describe('small tokenizers', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kelpie-tokenizer-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const words = { a: 0, b: 1, '<unk>': 2, '<end>': 3 };
  const tokenizerJson = {
    added_tokens: [] as unknown[],
    pre_tokenizer: { type: 'WhitespaceSplit' },
    model: { type: 'WordLevel', vocab: words, unk_token: '<unk>' },
  };

  async function write(files: Record<string, unknown>): Promise<string> {
    const own = await mkdtemp(join(folder, 't-'));
    for (const [name, value] of Object.entries(files)) {
      await writeFile(join(own, name), typeof value === 'string' ? value : JSON.stringify(value));
    }
    return own;
  }

  test('tokens that only tokenizer_config.json names are one piece', async () => {
    const token = { content: '<end>', special: true, normalized: false };
    const without = await openTokenizer(await write({ 'tokenizer.json': tokenizerJson }));
    expect(without.encode('a<end>b')).toEqual([2]);
    for (const config of [
      { added_tokens_decoder: { 3: token } },
      { eos_token: '<end>' },
      { eos_token: token },
      { additional_special_tokens: ['<end>'] },
    ]) {
      const tokenizer = await openTokenizer(
        await write({ 'tokenizer.json': tokenizerJson, 'tokenizer_config.json': config }),
      );
      expect(tokenizer.encode('a<end>b')).toEqual([0, 3, 1]);
      expect(tokenizer.decode([0, 3, 1], { skipSpecialTokens: true })).toBe('a b');
      expect(tokenizer.vocabularySize).toBe(4);
    }
    const map = await openTokenizer(
      await write({ 'tokenizer.json': tokenizerJson, 'special_tokens_map.json': { eos_token: '<end>' } }),
    );
    expect(map).toMatchObject({ eosTokenId: 3, eosTokens: [3] });
  });

  test('an end token that only the model names was no end token', async () => {
    const open = async (files: Record<string, unknown>) =>
      openTokenizer(await write({ 'tokenizer.json': tokenizerJson, ...files }));
    const config = { model_type: 'llama', vocab_size: 4, bos_token_id: 1, eos_token_id: 3, pad_token_id: 0 };
    const ofConfig = { bosTokenId: 1, eosTokenId: 3, eosTokens: [3], padTokenId: 0 };
    expect(await open({ 'config.json': config })).toMatchObject(ofConfig);
    expect(
      await open({ 'config.json': config, 'generation_config.json': { bos_token_id: 1, eos_token_id: [1, 3] } }),
    ).toMatchObject({ ...ofConfig, eosTokens: [1, 3] });
    expect(await open({ 'config.json': config, 'tokenizer_config.json': { eos_token: '<unk>' } })).toMatchObject({
      ...ofConfig,
      eosTokenId: 2,
      eosTokens: [2],
    });
    // A family's default is meant where it is a special token, an id beyond the vocabulary nowhere.
    for (const json of [{ model_type: 'llama' }, { eos_token_id: -1 }, { eos_token_id: 9, vocab_size: 4 }, {}]) {
      const tokenizer = await open({ 'config.json': json });
      expect(tokenizer.eosTokens).toEqual([]);
      expect(tokenizer).not.toHaveProperty('eosTokenId');
    }
    const end = { id: 2, content: '<unk>', special: true };
    const withEnd = { ...tokenizerJson, added_tokens: [end] };
    expect(await open({ 'tokenizer.json': withEnd, 'config.json': { model_type: 'llama' } })).toMatchObject({
      eosTokenId: 2,
    });
  });

  test('ids of the rows a model has beyond its tokenizer failed to decode', async () => {
    const vocab = { ...words, far: 6 };
    const own = { ...tokenizerJson, model: { ...tokenizerJson.model, vocab } };
    const tokenizer = await openTokenizer(await write({ 'tokenizer.json': own }));
    expect(tokenizer.decode([0, 2361, 1, 7])).toBe('a b');
    expect(tokenizer.decode([0, 5, 6])).toBe('a far');
    expect(tokenizer.decode([2361])).toBe('');
    expect(tokenizer.tokenText(2361)).toBeUndefined();
    for (const id of [-1, 0.5, Number.NaN]) expect(() => tokenizer.decode([0, id])).toThrow(`from 0, got ${id}`);
  });

  test('an id that the config and the vocabulary disagree on is an error', async () => {
    const config = { added_tokens_decoder: { 9: { content: '<end>', special: true } } };
    const own = await write({ 'tokenizer.json': tokenizerJson, 'tokenizer_config.json': config });
    await expect(openTokenizer(own)).rejects.toThrow(/gives it the id 9, but the vocabulary 3.*token `<end>`/);
  });

  test('templates: jinja file before json file before config; names; variables', async () => {
    const files: Record<string, unknown> = {
      'tokenizer.json': tokenizerJson,
      'tokenizer_config.json': {
        eos_token: '<end>',
        chat_template: [
          { name: 'default', template: 'c{{ eos_token }}{{ mood }}' },
          { name: 'tool_use', template: 'tools {{ tools | length }}' },
        ],
      },
    };
    const config = await openTokenizer(await write(files));
    expect(config.chatTemplate).toBe('c{{ eos_token }}{{ mood }}');
    expect(config.applyChatTemplate([], { variables: { mood: '!' } })).toBe('c<end>!');
    expect(config.applyChatTemplate([], { tools: [1, 2] })).toBe('tools 2');
    expect(() => config.applyChatTemplate([], { template: 'tool' })).toThrow(/named `tool`.*nearest: `tool_use`/);
    const second = await openTokenizer(await write({ ...files, 'chat_template.json': { chat_template: 'j' } }));
    expect([second.applyChatTemplate([]), second.files.at(-1)]).toEqual(['j', 'chat_template.json']);
    const own = await write({ ...files, 'chat_template.json': { chat_template: 'j' }, 'chat_template.jinja': 'f' });
    const third = await openTokenizer(own);
    expect([third.applyChatTemplate([]), third.files.at(-1)]).toEqual(['f', 'chat_template.jinja']);
    expect(new Set([config.hash, second.hash, third.hash]).size).toBe(3);
    const copy = join(folder, 'copy');
    for (const name of third.files) await cp(join(own, name), join(copy, name));
    expect((await openTokenizer(copy)).hash).toBe(third.hash);
    const broken = await openTokenizer(await write({ ...files, 'chat_template.jinja': '{% if %}' }));
    expect(() => broken.applyChatTemplate([])).toThrow(/does not parse/);
  });

  test('what is missing or not understood is said', async () => {
    await expect(openTokenizer(join(folder, 'none'))).rejects.toThrow(/expected a file to read.*tokenizer\.json/);
    await expect(openTokenizer(await write({ 'tokenizer.json': '{"model": {}}' }))).rejects.toThrow(
      /`model` with a `vocab`/,
    );
    await expect(openTokenizer(await write({ 'tokenizer.json': '{' }))).rejects.toThrow(
      /does not parse.*tokenizer\.json/,
    );
    const odd = { ...tokenizerJson, pre_tokenizer: { type: 'Telepathy' } };
    await expect(openTokenizer(await write({ 'tokenizer.json': odd }))).rejects.toThrow(/cannot be built.*Telepathy/);
  });
});
