import { describe, expect, it } from 'vitest';
import { checkData } from './check.js';
import type { DataError } from './error.js';
import { failureOf, lines, scratch } from './testing/files.js';
import { toyTokenizer } from './testing/toy-tokenizer.js';

const write = scratch();
const tokenizer = toyTokenizer({ pieces: [' b'] });
const pair = (i: number, more: object = {}) => ({ prompt: `p${i}`, chosen: ` c${i}`, rejected: ` r${i}`, ...more });
const found = (check: Awaited<ReturnType<typeof checkData>>) =>
  Object.fromEntries(check.findings.map(({ code, count, of }) => [code, `${count}/${of}`]));

describe('text', () => {
  it('of sound pairs is only counted', async () => {
    const files = [write('sound.jsonl', lines([pair(1), pair(2, { chosen: ' longer' })]))];
    expect(await checkData({ files })).toEqual({
      files: [{ file: files[0], format: 'pairs', rows: 2 }],
      kind: 'pairs',
      rows: 2,
      usable: 2,
      unit: 'characters',
      lengths: [
        { of: 'prompt', least: 2, median: 2, p90: 2, p99: 2, most: 2 },
        { of: 'chosen', least: 3, median: 3, p90: 7, p99: 7, most: 7 },
        { of: 'rejected', least: 3, median: 3, p90: 3, p99: 3, most: 3 },
        { of: 'row', least: 5, median: 5, p90: 9, p99: 9, most: 9 },
      ],
      longer: { chosen: 0.5, rejected: 0 },
      findings: [],
    });
  });

  it('shows bad rows, copies, contradictions, common prompts', async () => {
    const rows = [
      ...[pair(1), pair(1), pair(2), pair(2, { chosen: ' r2', rejected: ' c2' })],
      ...[pair(3, { chosen: ' ' }), pair(4, { rejected: ' c4' }), '{"prompt"', { prompt: 'a', chosen: 'b' }],
      ...Array.from({ length: 9 }, (_, i) => pair(i, { prompt: 'same', chosen: ` x${i}` })),
    ];
    const check = await checkData({ files: [write('bad.jsonl', lines(rows))] });
    expect(found(check)).toEqual({
      'bad-rows': '2/17',
      'empty-side': '1/17',
      'identical-pairs': '1/17',
      contradictions: '2/17',
      duplicates: '1/17',
      'common-prompts': '9/17',
    });
    expect(check.usable).toBe(13);
    expect(check.findings.find(({ code }) => code === 'bad-rows')?.detail).toMatch('1 not-json');
    expect(check.findings[0]?.severity).toBe('error');
    expect(check.findings.find(({ code }) => code === 'duplicates')?.where).toMatchObject([{ line: 2 }]);
  });

  it('shows what length alone would guess', async () => {
    const long = write(
      'long.jsonl',
      lines(Array.from({ length: 20 }, (_, i) => pair(i, { chosen: ` very long ${i}` }))),
    );
    expect(found(await checkData({ files: [long] }))).toEqual({ 'longer-wins': '20/20' });
    const short = write(
      'short.jsonl',
      lines(Array.from({ length: 20 }, (_, i) => pair(i, { rejected: ` very long ${i}` }))),
    );
    expect(found(await checkData({ files: [short] }))).toEqual({ 'shorter-wins': '20/20' });
  });

  it('without pairs is read as text', async () => {
    const files = [write('texts.jsonl', lines([{ text: 'one' }, { text: 'two' }, { text: 'one' }]))];
    const check = await checkData({ files });
    expect(check).toMatchObject({
      kind: 'text',
      usable: 3,
      lengths: [{ of: 'prompt' }, { of: 'completion' }, { of: 'row' }],
    });
    expect(found(check)).toEqual({ duplicates: '1/3' });
  });
});

describe('tokens', () => {
  it('show merges, truncation, rows that do not fit', async () => {
    const rows = [
      pair(1, { prompt: 'ends ', chosen: 'b', rejected: 'c' }),
      pair(2, { prompt: 'x'.repeat(30) }),
      pair(3, { chosen: 'y'.repeat(40) }),
      pair(4),
    ];
    const files = [write('long-rows.jsonl', lines(rows))];
    expect(found(await checkData({ files, tokenizer, maxLength: 20 }))).toEqual({
      'long-prompts': '1/4',
      'over-context': '1/4',
      'boundary-merges': '1/2',
    });
    const check = await checkData({ files, tokenizer, maxLength: 20, truncation: 'prompt-start' });
    expect(found(check)).toEqual({ 'over-context': '1/4', truncated: '1/4', 'boundary-merges': '1/3' });
    expect(check).toMatchObject({ unit: 'tokens', usable: 3 });
    expect(check.lengths.at(-1)).toMatchObject({ of: 'row', least: 7, most: 35 });
    expect(found(await checkData({ files, tokenizer, maxLength: 20, truncation: 'drop' }))).toMatchObject({
      'over-context': '2/4',
    });
  });

  it('show what the vocabulary lacks and prompts that outweigh all', async () => {
    const files = [write('prompts.jsonl', lines([pair(1, { prompt: 'x'.repeat(60) })]))];
    const check = await checkData({ files, tokenizer: { ...tokenizer, unkTokenId: 'x'.charCodeAt(0) } });
    expect(found(check)).toEqual({ 'unknown-tokens': '1/1', 'mostly-prompts': '122/130' });
  });

  it('of no usable row at all still give the findings', async () => {
    const files = [write('none.jsonl', lines([pair(1, { chosen: 'y'.repeat(40) })]))];
    const check = await checkData({ files, tokenizer, maxLength: 20 });
    expect(check.usable).toBe(0);
    expect(found(check)).toEqual({ 'no-rows': '0/1', 'over-context': '1/1' });
    expect(check.findings[0]).toMatchObject({ code: 'no-rows', severity: 'error' });
  });

  it('are those of the rows as they stand, whatever is cut', async () => {
    const rows = [...'abcd'].map((letter, i) => ({
      prompt: letter.repeat(5 + i),
      completion: ` ${letter.repeat(9 * i + 1)}`,
    }));
    const files = [write('cut.jsonl', lines(rows))];
    const whole = await checkData({ files, tokenizer });
    expect(whole.lengths).toMatchObject([
      { of: 'prompt', least: 6, most: 9 },
      { of: 'completion', least: 3, most: 30 },
      { of: 'row', least: 9, most: 39 },
    ]);
    for (const truncation of ['end', 'prompt-start'] as const) {
      const cut = await checkData({ files, tokenizer, maxLength: 32, truncation });
      expect(cut.lengths).toEqual(whole.lengths);
      expect(found(cut)).toHaveProperty('truncated');
    }
  });

  it('that merge although they are apart are not told to be set apart', async () => {
    const merging = toyTokenizer({ pieces: [': b'] });
    const advice = async (row: object) => {
      const { findings } = await checkData({ files: [write('merge.jsonl', lines([row]))], tokenizer: merging });
      return findings.find(({ code }) => code === 'boundary-merges')?.advice;
    };
    expect(await advice({ prompt: 'x:', completion: ' b' })).toContain('this tokenizer has pieces across that too');
    expect(await advice({ prompt: 'x: ', completion: 'b' })).toBe(
      'End prompts without a space and begin completions with one.',
    );
  });
});

it('a file without rows is an error', async () => {
  const check = await checkData({ files: [write('empty.jsonl', '')] });
  expect(check).toMatchObject({ usable: 0, findings: [{ code: 'no-rows', severity: 'error' }] });
});

it('held-out rows that also stand in the data are told', async () => {
  const files = [write('train.jsonl', lines([pair(1), pair(2), pair(3)]))];
  const heldout = [write('heldout.jsonl', lines([pair(2), pair(4)]))];
  const check = await checkData({ files, heldout });
  expect(found(check)).toEqual({ 'heldout-copies': '1/2' });
  expect(check.findings[0]?.where).toEqual([{ file: heldout[0], line: 1 }]);
});

it('rows of no format are told every format that could be meant', async () => {
  const { message } = await failureOf<DataError>(checkData({ files: [write('strange.jsonl', '{"question": "a"}')] }));
  for (const name of ['pairs', 'prompt-completion', 'text', 'messages']) expect(message).toContain(`\n  ${name}: `);
});

it('throws where a file cannot be read as rows', async () => {
  const codeOf = async (file: string) => (await failureOf<DataError>(checkData({ files: [file] }))).code;
  expect(await codeOf('/nowhere/at-all.jsonl')).toBe('unreadable-file');
  expect(await codeOf(write('rows.csv', 'a,b'))).toBe('unknown-file-type');
  expect(await codeOf(write('odd.jsonl', '{"a": 1}'))).toBe('unknown-format');
});

describe('labels', () => {
  const row = (i: number, label: boolean) => ({ prompt: `p${i}`, completion: ` c${i}`, label });

  it('are read, counted, and told where they contradict each other', async () => {
    const file = write('labelled.jsonl', lines([row(1, true), row(2, false), row(2, true), row(1, true)]));
    for (const given of [{}, { tokenizer }]) {
      const check = await checkData({ files: [file], ...given });
      expect(check).toMatchObject({ kind: 'labelled', usable: 4, labels: { wanted: 3, unwanted: 1 } });
      expect(found(check)).toMatchObject({ contradictions: '2/4', duplicates: '1/4' });
      expect(found(check)).not.toHaveProperty('uneven-labels');
    }
  });

  it('of one kind, or nearly, are told with the weight that balances them', async () => {
    const one = write('one.jsonl', lines([row(1, true), row(2, true)]));
    expect(found(await checkData({ files: [one] }))).toEqual({ 'one-label': '2/2' });
    const most = write('most.jsonl', lines(Array.from({ length: 12 }, (_, i) => row(i, i > 1))));
    const { findings } = await checkData({ files: [most] });
    expect(findings).toMatchObject([
      {
        code: 'uneven-labels',
        count: 10,
        of: 12,
        detail: '10 wanted, 2 not; `undesirableWeight` 5.0 would balance them',
      },
    ]);
  });
});

it('columns that reward models read are told where they cannot be', async () => {
  const rows = [pair(1, { margin: 1, tie: true }), pair(2, { margin: 'much', tie: 'no' }), pair(3)];
  expect(found(await checkData({ files: [write('marks.jsonl', lines(rows))] }))).toEqual({
    'bad-margins': '2/3',
    'bad-ties': '1/3',
  });
  expect(found(await checkData({ files: [write('plain.jsonl', lines([pair(1), pair(2)]))] }))).toEqual({});
});
