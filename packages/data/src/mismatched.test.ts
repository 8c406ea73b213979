import { pathsOf } from '@kelpie/policy';
import { describe, expect, it } from 'vitest';
import { mismatched } from './mismatched.js';
import { toyTokenizer } from './testing/toy-tokenizer.js';
import { encoderOf } from './tokenize.js';

const tokenizer = toyTokenizer();
const options = { encoder: encoderOf(tokenizer), maxLength: 30, rule: 'prompt-start', bosTokenId: 1000 } as const;
const row = (prompt: string, ...completions: string[]) => ({ prompt, completions, templated: false });
const texts = (rows: Parameters<typeof mismatched>[0], more: Partial<Parameters<typeof mismatched>[1]> = {}) =>
  mismatched(rows, { ...options, ...more }).map((tree) =>
    pathsOf(tree).map(({ ids, scoreFrom }) => [
      tokenizer.decode(ids.slice(0, scoreFrom)),
      tokenizer.decode(ids.slice(scoreFrom)),
    ]),
  );

describe('mismatched completions', () => {
  it('are those of the row before, of the last one for the first', () => {
    expect(texts([row('a:', ' x'), row('b:', ' y'), row('c:', ' z')])).toEqual([
      [['<s>a:', ' z</s>']],
      [['<s>b:', ' x</s>']],
      [['<s>c:', ' y</s>']],
    ]);
  });

  it('were those of the same prompt where rows with one prompt stand together', () => {
    expect(texts([row('a:', ' x'), row('a:', ' y'), row('b:', ' z')])).toEqual([
      [['<s>a:', ' z</s>']],
      [['<s>a:', ' z</s>']],
      [['<s>b:', ' y</s>']],
    ]);
  });

  it('are as many as the row has', () => {
    expect(texts([row('a:', ' x', ' y'), row('b:', ' z')])).toEqual([
      [
        ['<s>a:', ' z</s>'],
        ['<s>a:', ' z</s>'],
      ],
      [['<s>b:', ' x</s>']],
    ]);
  });

  it('are cut as rows are, at the end where those would be dropped', () => {
    const rows = [row('a long prompt:', ' x'), row('b:', ' completion')];
    expect(texts(rows, { maxLength: 18 })[0]).toEqual([['<s>ompt:', ' completion</s>']]);
    for (const rule of ['end', 'drop', 'error'] as const)
      expect(texts(rows, { maxLength: 18, rule })[0]).toEqual([['<s>a long prompt:', ' co']]);
  });

  it('come from further back where the nearest do not fit', () => {
    const rows = [row('a:', ' x'), row('b:', ` ${'long'.repeat(8)}`), row('c:', ' z')];
    expect(texts(rows)[2]).toEqual([['<s>c:', ' x</s>']]);
  });

  it('do not exist where all rows have one prompt', () => {
    expect(() => texts([row('a:', ' x'), row('a:', ' y')])).toThrow('Rows with one prompt alone cannot be mismatched.');
  });
});
