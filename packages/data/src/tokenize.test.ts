import { describe, expect, it } from 'vitest';
import type { DataError } from './error.js';
import { type ToyOptions, toyTokenizer } from './testing/toy-tokenizer.js';
import { encoderOf, requireVocabulary, type ScoreFrom, tokenize } from './tokenize.js';

function cut(prompt: string, completions: readonly string[], toy: ToyOptions = {}, scoreFrom: ScoreFrom = 'shared') {
  const tokenizer = toyTokenizer(toy);
  const tokenized = tokenize({ prompt, completions, templated: false }, encoderOf(tokenizer), {
    scoreFrom,
  });
  const sides = tokenized.sequences.map(({ ids, scoreFrom }) => [
    ids
      .slice(0, scoreFrom)
      .map((id) => tokenizer.tokenText(id))
      .join('|'),
    ids
      .slice(scoreFrom)
      .map((id) => tokenizer.tokenText(id))
      .join('|'),
  ]);
  return { ...tokenized, sides };
}

describe('prompt and completion', () => {
  it('part where their encodings part, and end with the end token', () => {
    const { sides, mergedTokens, promptTokens } = cut('ab', ['cd']);
    expect(sides).toEqual([['<s>|a|b', 'c|d|</s>']]);
    expect({ mergedTokens, promptTokens }).toEqual({ mergedTokens: 0, promptTokens: 3 });
  });

  it('count the tail of a prompt that merges as completion', () => {
    const { sides, mergedTokens } = cut('abc', ['de'], { pieces: ['bcd'] });
    expect(sides).toEqual([['<s>|a', 'bcd|e|</s>']]);
    expect(mergedTokens).toBe(2);
  });

  it('begin to count at the earlier place of a pair, or each at its own', () => {
    const toy = { pieces: ['bc'] };
    expect(cut('ab', ['cd', 'xy'], toy).sides).toEqual([
      ['<s>|a', 'bc|d|</s>'],
      ['<s>|a', 'b|x|y|</s>'],
    ]);
    expect(cut('ab', ['cd', 'xy'], toy, 'per-side').sides).toEqual([
      ['<s>|a', 'bc|d|</s>'],
      ['<s>|a|b', 'x|y|</s>'],
    ]);
  });

  it('never have the first token as a target', () => {
    expect(cut('', ['cd'], { begins: false }).sides).toEqual([['c', 'd|</s>']]);
    expect(cut('ab', ['cd'], { begins: false, pieces: ['abc'] }).sides).toEqual([['abc', 'd|</s>']]);
    expect(cut('', ['cd']).sides).toEqual([['<s>', 'c|d|</s>']]);
  });
});

describe('the end token', () => {
  it('is not doubled, whoever wrote it', () => {
    const once = [['<s>|a', 'b|</s>']];
    expect(cut('a', ['b</s>']).sides).toEqual(once);
    expect(cut('a', ['b'], { closes: true }).sides).toEqual(once);
    expect(cut('a', ['b</s>'], { closes: true }).sides).toEqual(once);
  });

  it('is appended as an id where its text is several pieces', () => {
    const { sequences } = cut('a', ['b'], { knowsEnd: false });
    expect(sequences[0]?.ids).toEqual([1000, 97, 98, 1001]);
  });

  it('is left out where the tokenizer has none', () => {
    expect(cut('a', ['b'], { ends: false }).sides).toEqual([['<s>|a', 'b']]);
  });

  it('is put once by a tokenizer that has no `a` and no unknown token, which failed every load', () => {
    for (const closes of [false, true]) {
      const toy = toyTokenizer({ closes });
      const encode: typeof toy.encode = (text, options) => {
        if (text.includes('a')) throw new Error('the text holds what the vocabulary lacks');
        return toy.encode(text, options);
      };
      const encoder = encoderOf({ ...toy, encode });
      expect(encoder.encode('12', false)).toEqual([1000, 49, 50]);
      expect(encoder.encodeEnded('12', false)).toEqual([1000, 49, 50, 1001]);
      expect(encoder.encodeEnded('12</s>', false)).toEqual([1000, 49, 50, 1001]);
      expect(() => encoder.encode('1a', false)).toThrow('the vocabulary lacks');
    }
  });

  it('of a templated text is the template’s', () => {
    const rendered = { prompt: '<u>', completions: ['b</s>\n'], templated: true };
    expect(tokenize(rendered, encoderOf(toyTokenizer())).sequences[0]?.ids.slice(3)).toEqual([98, 1001, 10]);
  });
});

it('a foreign tokenizer shows by its ids', () => {
  const tokenizer = toyTokenizer();
  const run = () =>
    requireVocabulary([{ ids: [5, 97], scoreFrom: 1 }], {
      size: 97,
      tokenizer,
      where: { file: 'rows.jsonl', line: 3 },
    });
  expect(run).toThrow(expect.objectContaining<Partial<DataError>>({ code: 'id-outside-vocabulary', received: '97' }));
  expect(run).toThrow("rows.jsonl:3: the tokenizer gives id 97 (`a`), but the model's vocabulary has 97 entries.");
});
