import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { split } from './split.js';

const rows = (prompts: readonly string[]) => prompts.map((prompt, i) => ({ prompt, completion: `${i}` }));

describe('a split', () => {
  it('never has a prompt on both sides, nor more held out than asked for', () => {
    const prompts = fc.array(fc.constantFrom(...'abcdefghij'), { minLength: 30, maxLength: 60 });
    fc.assert(
      fc.property(prompts, fc.integer(), (keys, seed) => {
        const { train, heldOut } = split(rows(keys), { count: 15, seed });
        const seen = new Set(train.map(({ prompt }) => prompt));
        expect(heldOut.some(({ prompt }) => seen.has(prompt))).toBe(false);
        expect(train.length + heldOut.length).toBe(keys.length);
        expect(heldOut.length).toBeLessThanOrEqual(15);
      }),
      { seed: 7 },
    );
  });

  it('holds out as many as asked for when prompts are rows', () => {
    const all = rows(Array.from({ length: 200 }, (_, i) => `prompt ${i}`));
    expect(split(all, { fraction: 0.1 }).heldOut).toHaveLength(20);
    expect(split(all, { fraction: 0.1 })).toEqual(split(all, { fraction: 0.1, seed: 0 }));
    expect(split(all, { fraction: 0.1, seed: 1 })).not.toEqual(split(all, { fraction: 0.1 }));
  });

  it('leaves prompts on their side when the rows are reordered', () => {
    const all = rows(Array.from({ length: 50 }, (_, i) => `prompt ${i}`));
    const ids = (examples: readonly { completion: string }[]) => examples.map(({ completion }) => completion).sort();
    expect(ids(split(all.toReversed(), { count: 9 }).heldOut)).toEqual(ids(split(all, { count: 9 }).heldOut));
  });

  it('tells texts without a prompt apart by themselves', () => {
    expect(split(rows(['', '', '', '']), { count: 1 }).heldOut).toHaveLength(1);
  });

  it('that leaves nothing to train on said that there are no rows', () => {
    const fraction = 0.05;
    expect(() => split(rows(['a']), { fraction })).toThrow(
      'With 1 of 1 rows held out, nothing is left to train on.\nHold out none, or add rows.',
    );
    for (const options of [{ count: 2 }, { count: 9 }, { fraction: 0.9 }])
      expect(() => split(rows(['a', 'b']), options)).toThrow(/nothing is left to train on.\nHold out 1 or fewer\./);
  });

  it('refuses what cannot be', () => {
    expect(() => split(rows(['a', 'a', 'a']), { count: 1 })).toThrow('every prompt has more rows than that');
    expect(() => split(rows(['a', 'b']), { count: 0 })).toThrow('`count` must be a whole number from 1, but is 0.');
    expect(() => split(rows(['a', 'b']), { fraction: 1 })).toThrow('`fraction` must be above 0 and below 1');
    expect(() => split(rows(['a', 'b']), {})).toThrow('`fraction` must be given, or `count`, and not both');
  });
});
