import { pathsOf } from '@kelpie/policy';
import { describe, expect, it } from 'vitest';
import { loadPreferences, loadText, loadUnpaired } from './dataset.js';
import { type DataError, problemText } from './error.js';
import { reportText } from './report.js';
import { failureOf, lines, scratch } from './testing/files.js';
import { toyTokenizer } from './testing/toy-tokenizer.js';

const write = scratch();
const tokenizer = toyTokenizer();
const options = { tokenizer, maxLength: 100 };
const texts = (tree: Parameters<typeof pathsOf>[0]) =>
  pathsOf(tree).map(({ ids, scoreFrom }) => [
    tokenizer.decode(ids.slice(0, scoreFrom)),
    tokenizer.decode(ids.slice(scoreFrom)),
  ]);

describe('preferences', () => {
  it('become trees that share their prompt', async () => {
    const file = write(
      'pairs.jsonl',
      lines([{ id: 'plum', prompt: 'Fruit?', chosen: ' Plum', rejected: ' Pea', weight: 2 }]),
    );
    const { examples, report } = await loadPreferences({ ...options, files: [file] });
    expect(examples).toMatchObject([
      {
        id: 'plum',
        where: { file, line: 1 },
        extra: { weight: 2, id: 'plum' },
        prompt: 'Fruit?',
        chosen: ' Plum',
        rejected: ' Pea',
      },
    ]);
    const tree = examples[0]!.tree;
    expect(tokenizer.decode([...tree.trunk])).toBe('<s>Fruit? P');
    expect(texts(tree)).toEqual([
      ['<s>Fruit?', ' Plum</s>'],
      ['<s>Fruit?', ' Pea</s>'],
    ]);
    expect(report.tokens).toEqual({
      total: 25,
      scored: 11,
      promptShare: 14 / 25,
      inTrees: 16,
      longest: 13,
      mean: 12.5,
    });
  });

  it('collect everything that is wrong before they throw', async () => {
    const good = { prompt: 'a', chosen: ' b', rejected: ' c' };
    const file = write(
      'bad.jsonl',
      lines([
        good,
        { prompt: 'a', chosen: ' b' },
        good,
        '{"prompt"',
        { ...good, chosen: '' },
        { ...good, rejected: ' b' },
        { ...good, chosen: null, rejected: 3 },
      ]),
    );
    const error = await failureOf<DataError>(loadPreferences({ ...options, files: [file] }));
    expect(error.code).toBe('bad-rows');
    expect(error.where).toEqual({ file, line: 2 });
    expect(error.message.replaceAll(file, 'bad.jsonl')).toMatchInlineSnapshot(`
      "5 of 7 rows cannot be used:
        bad.jsonl:2 \`rejected\`: expected text, received nothing
        bad.jsonl:4:10: expected a colon, received the end of the line
        bad.jsonl:5 \`chosen\`: expected a completion with words, received ""
        bad.jsonl:6 \`rejected\`: expected a completion other than \`chosen\`, received the same
        bad.jsonl:7 \`chosen\`: expected text, received null
        bad.jsonl:7 \`rejected\`: expected text, received 3
      Mend these rows, or leave them out with \`onBadRow: 'drop'\`, which counts them by reason."
    `);
    const { examples, report } = await loadPreferences({ ...options, files: [file], onBadRow: 'drop' });
    expect(examples).toHaveLength(2);
    expect(report).toMatchObject({
      rows: 7,
      kept: 2,
      dropped: { 'missing-field': 2, 'not-json': 1, 'empty-completion': 1, 'same-completions': 1 },
    });
  });

  it('show 20 problems and count the others', async () => {
    const row = { prompt: 'a', chosen: ' b', rejected: ' c' };
    const file = write('many.jsonl', lines([...Array(30).fill(row), ...Array(25).fill({ ...row, chosen: '' })]));
    const error = await failureOf<DataError>(loadPreferences({ ...options, files: [file] }));
    expect(error.message.split('\n')).toHaveLength(1 + 20 + 1 + 1);
    expect(error.message).toContain('  and 5 more\n');
    expect(error.problems).toHaveLength(25);
  });

  it('count what truncation cut and what it dropped', async () => {
    const file = write(
      'long.jsonl',
      lines([
        { prompt: 'Fruit?', chosen: ' Plum', rejected: ' Pea' },
        { prompt: 'F?', chosen: ' Plum', rejected: ' Pea' },
        { prompt: 'F?', chosen: ' Plum, or plums', rejected: ' Pea' },
      ]),
    );
    const load = { ...options, files: [file], maxLength: 10 };
    const kept = await loadPreferences(load);
    expect(kept.examples.map(({ tree }) => texts(tree))).toEqual([
      [
        ['<s>it?', ' Plum</s>'],
        ['<s>it?', ' Pea</s>'],
      ],
      [
        ['<s>F?', ' Plum</s>'],
        ['<s>F?', ' Pea</s>'],
      ],
    ]);
    expect(kept.report).toMatchObject({ truncated: { rows: 1, tokens: 6 }, dropped: { 'completion-too-long': 1 } });
    const dropped = await loadPreferences({ ...load, truncation: 'drop' });
    expect(dropped.report).toMatchObject({ kept: 1, dropped: { 'too-long': 2 } });
    const ended = await loadPreferences({ ...load, truncation: 'end' });
    expect(ended.report).toMatchObject({ kept: 3, dropped: {}, truncated: { rows: 2 } });
    const filled = await loadPreferences({ ...load, truncation: 'end', maxLength: 7 });
    expect(filled.report).toMatchObject({ kept: 2, dropped: { 'prompt-fills-length': 1 } });
    const error = await failureOf<DataError>(loadPreferences({ ...load, truncation: 'error' }));
    expect(error.problems.map(({ code, where }) => [code, where.line])).toEqual([
      ['too-long', 1],
      ['too-long', 3],
    ]);
  });

  it('without a rule asked for are bad where the prompt alone fills the length, and cut where it does not', async () => {
    const rows = [
      { prompt: 'p'.repeat(9), chosen: 'c', rejected: 'r' },
      { prompt: 'p'.repeat(8), chosen: 'c', rejected: 'r' },
    ];
    const load = { ...options, files: [write('filled.jsonl', lines(rows))], maxLength: 10 };
    const error = await failureOf<DataError>(loadPreferences(load));
    expect(error.message).toContain(
      'filled.jsonl:1: expected a prompt of fewer than 10 tokens, or a choice of `truncation`, received 10',
    );
    expect(error.problems).toHaveLength(1);
    const { report } = await loadPreferences({ ...load, onBadRow: 'drop' });
    expect(report).toMatchObject({ kept: 1, dropped: { 'prompt-fills-length': 1 }, truncated: { rows: 1 } });
    expect((await loadPreferences({ ...load, truncation: 'prompt-start' })).report).toMatchObject({
      kept: 2,
      truncated: { rows: 2 },
    });
    const texts = rows.map(({ prompt, chosen }) => ({ prompt, completion: chosen }));
    const files = [write('filled-texts.jsonl', lines(texts))];
    expect(await failureOf<DataError>(loadText({ ...load, files }))).toMatchObject({ code: 'bad-rows' });
    const ended = await loadText({ ...load, files, truncation: 'end' });
    expect(ended.report.dropped).toEqual({ 'prompt-fills-length': 1 });
  });

  it('drop a pair that truncation makes the same', async () => {
    const file = write(
      'alike.jsonl',
      lines([
        { prompt: 'ab', chosen: ' cde', rejected: ' cdf' },
        { prompt: 'ab', chosen: ' x', rejected: ' y' },
      ]),
    );
    const { report } = await loadPreferences({ ...options, files: [file], truncation: 'end', maxLength: 5 });
    expect(report.dropped).toEqual({ 'same-after-truncation': 1 });
  });

  it('read columns under other names', async () => {
    const file = write('named.jsonl', lines([{ question: 'a', good: ' b', bad: ' c' }]));
    const columns = { prompt: 'question', chosen: 'good', rejected: 'bad' };
    const { examples } = await loadPreferences({ ...options, files: [file], columns });
    expect(examples).toMatchObject([{ prompt: 'a', chosen: ' b', rejected: ' c', extra: {} }]);
  });

  it('may come in files of different formats', async () => {
    const one = write('one.jsonl', lines([{ prompt: 'a', chosen: ' b', rejected: ' c' }]));
    const two = write('two.json', JSON.stringify([{ chosen: 'x y', rejected: 'x z' }]));
    const { report } = await loadPreferences({ ...options, files: [one, two] });
    expect(report.files).toEqual([
      { file: one, format: 'pairs', rows: 1 },
      { file: two, format: 'implicit-prompt', rows: 1 },
    ]);
  });

  it('hash alike when ids and scored places are alike, and only then', async () => {
    const hashOf = async (name: string, row: object, more: object = {}) =>
      (await loadPreferences({ ...options, files: [write(name, lines([row]))], ...more })).report.hash;
    const row = { prompt: 'a', chosen: ' b', rejected: ' c' };
    const first = await hashOf('h1.jsonl', row);
    expect(await hashOf('h2.jsonl', { ...row, note: 1 })).toBe(first);
    expect(await hashOf('h3.jsonl', { ...row, rejected: ' d' })).not.toBe(first);
    expect(await hashOf('h4.jsonl', { prompt: 'a ', chosen: 'b', rejected: 'c' })).not.toBe(first);
  });

  it('refuse files without rows of use, and options that make no sense', async () => {
    const empty = write('empty.jsonl', '\n');
    expect(await failureOf<DataError>(loadPreferences({ ...options, files: [empty] }))).toMatchObject({
      code: 'no-rows',
    });
    const same = write('same.jsonl', lines([{ prompt: 'a', chosen: 'b', rejected: 'b' }]));
    const error = await failureOf<DataError>(loadPreferences({ ...options, files: [same], onBadRow: 'drop' }));
    expect(error.message).toContain('No row can be used: 1 were read, and dropped as 1 same-completions:');
    for (const wrong of [{ files: [] }, { maxLength: 1 }, { maxLength: Number.NaN }])
      expect(await failureOf<DataError>(loadPreferences({ ...options, files: [same], ...wrong }))).toMatchObject({
        code: 'bad-option',
      });
  });

  it('refuse ids that the model does not have', async () => {
    const file = write('ids.jsonl', lines([{ prompt: 'a', chosen: ' b', rejected: ' ü' }]));
    const error = await failureOf<DataError>(loadPreferences({ ...options, files: [file], vocabularySize: 1001 }));
    expect(error).toMatchObject({ code: 'id-outside-vocabulary', received: '1001', where: { file, line: 1 } });
  });

  it('call completions of the same ids the same', async () => {
    const plain = toyTokenizer();
    const blind = { ...plain, encode: (text: string, o = {}) => plain.encode(text.replaceAll('@', '#'), o) };
    const file = write('blind.jsonl', lines([{ prompt: 'a', chosen: ' #', rejected: ' @' }]));
    const error = await failureOf<DataError>(loadPreferences({ ...options, tokenizer: blind, files: [file] }));
    expect(error.problems.map(problemText)).toEqual([
      `${file}:1: expected two completions that differ in tokens, received the same ids`,
    ]);
  });
});

describe('what the tokenizer and the template make of a row', () => {
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Ho' },
  ];

  it('is counted where no end token is written', async () => {
    const file = write(
      'endless.jsonl',
      lines([{ messages }, { messages: [...messages, { role: 'user', content: 'He' }] }]),
    );
    const endOf = async (toy: Partial<typeof tokenizer>) =>
      (await loadText({ ...options, tokenizer: { ...tokenizer, ...toy }, files: [file] })).report.withoutEnd;
    const endless = (...turns: Parameters<typeof tokenizer.applyChatTemplate>) =>
      tokenizer.applyChatTemplate(...turns).replaceAll('</s>', '\n');
    expect(await endOf({})).toBe(0);
    expect(await endOf({ applyChatTemplate: endless })).toBe(2);
    expect(await endOf({ applyChatTemplate: endless, eosTokens: [1001, 10] })).toBe(0);
  });

  it('said nothing where there is no end token to write', async () => {
    const load = (file: string, toy: Parameters<typeof toyTokenizer>[0]) =>
      loadText({ ...options, tokenizer: toyTokenizer(toy), files: [file] });
    for (const row of [{ text: 'ab' }, { prompt: 'a', completion: 'b' }, { messages }]) {
      const file = write('endless-text.jsonl', lines([row, row]));
      const { report } = await load(file, { ends: false });
      expect(report).toMatchObject({ endTokens: [], withoutEnd: 2 });
      expect(reportText(report)).toContain(
        '\nno end token, so nothing teaches the model to stop: name it as `eos_token`',
      );
      const ended = (await load(file, {})).report;
      expect(ended).toMatchObject({ endTokens: [1001], withoutEnd: 0 });
      expect(reportText(ended)).not.toContain('end token');
    }
  });

  it('is counted where plain text ends otherwise than the model stops', async () => {
    const file = write('other-end.jsonl', lines([{ text: 'ab' }]));
    const { report } = await loadText({ ...options, tokenizer: { ...tokenizer, eosTokens: [7] }, files: [file] });
    expect(report.withoutEnd).toBe(1);
    expect(reportText(report)).toContain('1 row without an end token: nothing there teaches the model to stop');
  });

  it('is counted where the vocabulary lacks the text', async () => {
    const file = write('unknown.jsonl', lines([{ text: 'a?b?' }, { text: 'ab' }]));
    const { report } = await loadText({ ...options, tokenizer: { ...tokenizer, unkTokenId: 63 }, files: [file] });
    expect(report.unknown).toEqual({ rows: 1, tokens: 2 });
  });

  it('is a bad row where it cannot be encoded', async () => {
    const file = write('odd.jsonl', lines([{ text: 'ab' }, { text: 'a?b' }]));
    const encode: typeof tokenizer.encode = (text, o) => {
      if (text.includes('?')) throw new Error('there is no unknown token');
      return tokenizer.encode(text, o);
    };
    const error = await failureOf<DataError>(
      loadText({ ...options, tokenizer: { ...tokenizer, encode }, files: [file] }),
    );
    expect(error.problems.map(problemText)).toEqual([
      `${file}:2: expected text the tokenizer can encode, received its error: there is no unknown token`,
    ]);
  });
});

describe('text', () => {
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Ho' },
  ];

  it('counts from the second token on', async () => {
    const { examples, report } = await loadText({ ...options, files: [write('t.jsonl', lines([{ text: 'Snow.' }]))] });
    expect(texts(examples[0]!.tree)).toEqual([['<s>', 'Snow.</s>']]);
    expect(examples[0]).toMatchObject({ prompt: '', completion: 'Snow.' });
    expect(report.merged.rows).toBe(0);
  });

  it('with a prompt counts the completion, or everything', async () => {
    const file = write('pc.jsonl', lines([{ prompt: 'a', completion: ' b', label: false }]));
    const { examples } = await loadText({ ...options, files: [file] });
    expect(examples[0]).toMatchObject({ prompt: 'a', completion: ' b', extra: { label: false } });
    expect(texts(examples[0]!.tree)).toEqual([['<s>a', ' b</s>']]);
    const all = await loadText({ ...options, files: [file], score: 'all' });
    expect(texts(all.examples[0]!.tree)).toEqual([['<s>', 'a b</s>']]);
  });

  it('of a conversation counts everything, or the last turn', async () => {
    const file = write('m.jsonl', lines([{ messages }]));
    const all = await loadText({ ...options, files: [file] });
    expect(texts(all.examples[0]!.tree)).toEqual([['<', 'user>Hi\n<assistant>Ho</s>']]);
    const last = await loadText({ ...options, files: [file], score: 'completion' });
    expect(texts(last.examples[0]!.tree)).toEqual([['<user>Hi\n<assistant>', 'Ho</s>']]);
    const open = write('open.jsonl', lines([{ messages: messages.slice(0, 1) }]));
    const error = await failureOf<DataError>(loadText({ ...options, files: [open], score: 'completion' }));
    expect(error.problems.map(({ code, received }) => [code, received])).toEqual([['wrong-type', '`user` at the end']]);
  });

  it('may be one side of preference rows', async () => {
    const file = write('p.jsonl', lines([{ prompt: 'a', chosen: ' b', rejected: ' c' }]));
    const { examples } = await loadText({ ...options, files: [file], side: 'chosen' });
    expect(texts(examples[0]!.tree)).toEqual([['<s>a', ' b</s>']]);
  });

  it('is cut at the end', async () => {
    const file = write('l.jsonl', lines([{ text: 'Snow fell.' }]));
    const { examples, report } = await loadText({ ...options, files: [file], maxLength: 5 });
    expect(texts(examples[0]!.tree)).toEqual([['<s>', 'Snow']]);
    expect(report.truncated).toEqual({ rows: 1, tokens: 7 });
  });
});

it('a report reads as a few lines', async () => {
  const file = write(
    'report.jsonl',
    lines([
      { prompt: 'ab', chosen: 'cd', rejected: 'ce' },
      { prompt: 'ab', chosen: '', rejected: 'c' },
    ]),
  );
  const { report } = await loadPreferences({
    files: [file],
    tokenizer: toyTokenizer({ pieces: ['bc'] }),
    maxLength: 100,
    onBadRow: 'drop',
  });
  expect(reportText(report).replace(file, 'report.jsonl')).toMatchInlineSnapshot(`
    "report.jsonl: 2 rows, pairs
    1 of 2 rows used; dropped: 1 empty-completion
    10 tokens, 6 of them scored (prompts: 40 %); with shared prompts computed once: 7
    sequences: longest 5, mean 5.0 tokens
    prompt and completion merge in 1 row: 1 prompt token scored with the completion"
  `);
});

describe('unpaired rows', () => {
  it('are completions with a label, or both sides of pairs', async () => {
    const labelled = write(
      'labelled.jsonl',
      lines([
        { prompt: 'Fruit?', completion: ' Plum', label: true },
        { prompt: 'Root?', completion: ' Plum', label: 0, density_ratio: 2 },
      ]),
    );
    const pairs = write('sides.jsonl', lines([{ prompt: 'Leaf?', chosen: ' Kale', rejected: ' Pea' }]));
    const { examples, report } = await loadUnpaired({ ...options, files: [labelled, pairs], mismatched: true });
    expect(examples).toMatchObject([
      { prompt: 'Fruit?', completions: [' Plum'], labels: [1], extra: {} },
      { prompt: 'Root?', completions: [' Plum'], labels: [0], extra: { density_ratio: 2 } },
      { prompt: 'Leaf?', completions: [' Kale', ' Pea'], labels: [1, 0] },
    ]);
    expect(examples.map(({ mismatched }) => texts(mismatched!))).toEqual([
      [['<s>Fruit?', ' Kale</s>']],
      [['<s>Root?', ' Plum</s>']],
      [
        ['<s>Leaf?', ' Plum</s>'],
        ['<s>Leaf?', ' Plum</s>'],
      ],
    ]);
    expect(report.files.map(({ format }) => format)).toEqual(['labelled', 'pairs']);
  });

  it('have no mismatched completions unless asked for, so that one prompt will do', async () => {
    const rows = [' x', ' y'].map((completion) => ({ prompt: 'a', completion, label: completion === ' x' }));
    const files = [write('one-prompt.jsonl', lines(rows))];
    const { examples } = await loadUnpaired({ ...options, files });
    expect(examples.some((example) => 'mismatched' in example)).toBe(false);
    const error = await failureOf<DataError>(loadUnpaired({ ...options, files, mismatched: true }));
    expect(error.code).toBe('cannot-mismatch');
  });

  it('are refused where supervised rows came', async () => {
    const files = [write('plain.jsonl', lines([{ prompt: 'a', completion: ' b' }]))];
    expect((await failureOf<DataError>(loadUnpaired({ ...options, files }))).message).toContain(
      'Expected completions with a label, or preference pairs, but the rows',
    );
  });
});
