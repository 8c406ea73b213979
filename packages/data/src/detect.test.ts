import { describe, expect, it } from 'vitest';
import { detectFormat, formatNamed } from './detect.js';
import type { DataError } from './error.js';
import type { RawRow } from './read.js';
import type { JsonObject, RowKind } from './row.js';

const raw = (rows: readonly JsonObject[]): RawRow[] =>
  rows.map((value, i) => ({ value, where: { file: 'rows.jsonl', line: i + 1 } }));

function failure(run: () => unknown): DataError {
  try {
    run();
  } catch (error) {
    return error as DataError;
  }
  throw new Error('expected a failure');
}

const detect = (rows: readonly JsonObject[], kinds: readonly RowKind[] = ['pair']) =>
  detectFormat(raw(rows), kinds).name;

describe('detection', () => {
  it('is not misled by a broken row', () => {
    const pair = { prompt: 'a', chosen: 'b', rejected: 'c' };
    expect(detect([{ prompt: 'a', chosen: 'b' }, pair, pair])).toBe('pairs');
    expect(detect([{ chosen: 'b', rejected: 'c' }, pair, pair])).toBe('pairs');
  });

  it('looks only at formats of the wanted kind', () => {
    const row = { prompt: 'a', chosen: [{ role: 'assistant', content: 'b' }], rejected: [], messages: [] };
    expect(detect([row])).toBe('messages-pairs');
    expect(detect([row], ['text', 'completion'])).toBe('messages');
  });

  it('does not take another name of the prompt for a prompt inside the dialogues', () => {
    const error = failure(() => detect([{ question: 'a', chosen: 'b', rejected: 'c' }]));
    expect(error).toMatchObject({ code: 'unknown-format', received: '`chosen`, `question`, `rejected`' });
    expect(error.message).toMatchInlineSnapshot(`
      "No format fits the rows of rows.jsonl: their columns are \`chosen\`, \`question\`, \`rejected\`.
      Rename columns with \`columns\`, for instance { prompt: 'question' }, to what one of these wants:
        implicit-prompt: \`chosen\` and \`rejected\` as text that begins alike, and no column with the prompt
        messages-pairs: \`chosen\` and \`rejected\` as messages, with \`prompt\` or \`conversations\`, or whole conversations without
        pairs: \`prompt\`, \`chosen\` and \`rejected\` as text"
    `);
  });

  it('says which kind was wanted, which came and what reads it, not to rename columns', () => {
    const text = failure(() => detect([{ text: 'a' }, { text: 'b' }]));
    expect(text).toMatchObject({
      code: 'unknown-format',
      expected: 'preference pairs',
      received: 'text or conversations',
      where: { file: 'rows.jsonl', line: 1 },
    });
    expect(text.message).toMatchInlineSnapshot(`
      "Expected preference pairs, but the rows of rows.jsonl are in the format \`text\`: text or conversations.
      \`train sft\` reads text and conversations."
    `);
    expect(failure(() => detect([{ prompt: 'a', completion: 'b' }])).message).toMatchInlineSnapshot(`
      "Expected preference pairs, but the rows of rows.jsonl are in the format \`prompt-completion\`: prompts with a completion.
      \`train sft\` reads prompts with a completion."
    `);
    const pairs = [{ prompt: 'a', chosen: 'b', rejected: 'c' }];
    expect(failure(() => detect(pairs, ['completion', 'text'])).message).toMatchInlineSnapshot(`
      "Expected prompts with a completion, or text or conversations, but the rows of rows.jsonl are in the format \`pairs\`: preference pairs.
      \`train dpo\` and its like read preference pairs; with \`side\`, one completion of each is read as text."
    `);
    expect(failure(() => formatNamed('text', ['pair'])).message).toMatchInlineSnapshot(`
      "Expected preference pairs, but the format asked for is \`text\`: text or conversations.
      \`train sft\` reads text and conversations."
    `);
  });

  it('asks where two formats fit', () => {
    const error = failure(() => detect([{ prompt: 'a', completion: 'b', text: 'ab' }], ['text', 'completion']));
    expect(error.code).toBe('ambiguous-format');
    expect(error.message).toContain('`prompt-completion`, `text`');
    expect(error.message).toContain('Say which with `format`');
  });
});

describe('a format by name', () => {
  it('is given, or those that there are', () => {
    expect(formatNamed('pairs', ['pair']).name).toBe('pairs');
    expect(failure(() => formatNamed('txt', ['pair']))).toMatchObject({
      code: 'unknown-format',
      received: 'txt',
      expected: 'implicit-prompt, messages-pairs, pairs',
    });
  });
});
