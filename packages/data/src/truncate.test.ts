import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { truncate } from './truncate.js';

const pair = [
  { ids: [1, 10, 11, 12, 20, 21], scoreFrom: 4 },
  { ids: [1, 10, 11, 12, 30], scoreFrom: 4 },
];

describe('truncation', () => {
  it('leaves alone what fits', () => {
    expect(truncate(pair, { maxLength: 6, rule: 'error' })).toEqual({ sequences: pair, cutTokens: 0 });
  });

  it('at the prompt’s start takes the same tokens from both sides, and spares the beginning token', () => {
    expect(truncate(pair, { maxLength: 4, rule: 'prompt-start', bosTokenId: 1 })).toEqual({
      cutTokens: 4,
      sequences: [
        { ids: [1, 12, 20, 21], scoreFrom: 2 },
        { ids: [1, 12, 30], scoreFrom: 2 },
      ],
    });
    expect(truncate(pair, { maxLength: 4, rule: 'prompt-start' })).toMatchObject({
      sequences: [{ ids: [11, 12, 20, 21] }, { ids: [11, 12, 30] }],
    });
  });

  it('at the prompt’s start never cuts a completion', () => {
    expect(truncate(pair, { maxLength: 3, rule: 'prompt-start', bosTokenId: 1 })).toMatchObject({
      sequences: [{ ids: [1, 20, 21], scoreFrom: 1 }, { ids: [1, 30] }],
    });
    expect(truncate(pair, { maxLength: 2, rule: 'prompt-start' })).toMatchObject({ reason: 'completion-too-long' });
  });

  it('at the end cuts each side, and drops a row whose prompt fills the length', () => {
    expect(truncate(pair, { maxLength: 5, rule: 'end' })).toEqual({
      cutTokens: 1,
      sequences: [{ ids: [1, 10, 11, 12, 20], scoreFrom: 4 }, pair[1]],
    });
    expect(truncate(pair, { maxLength: 4, rule: 'end' })).toMatchObject({ reason: 'prompt-fills-length' });
  });

  it.each(['drop', 'error'] as const)('%s refuses', (rule) => {
    expect(truncate(pair, { maxLength: 5, rule })).toEqual({
      reason: 'too-long',
      expected: 'at most 5 tokens',
      received: '6',
    });
  });

  it('keeps every row within its length, with something to score behind something to condition on', () => {
    const sequence = fc
      .record({
        prompt: fc.array(fc.nat(9), { minLength: 1, maxLength: 8 }),
        answer: fc.array(fc.nat(9), { minLength: 1, maxLength: 8 }),
      })
      .map(({ prompt, answer }) => ({ ids: [...prompt, ...answer], scoreFrom: prompt.length }));
    fc.assert(
      fc.property(
        sequence,
        fc.integer({ min: 2, max: 12 }),
        fc.constantFrom('prompt-start' as const, 'end' as const),
        (row, maxLength, rule) => {
          const cut = truncate([row], { maxLength, rule, bosTokenId: 0 });
          if ('reason' in cut) return;
          const [{ ids, scoreFrom }] = cut.sequences as [{ ids: readonly number[]; scoreFrom: number }];
          expect(ids.length).toBeLessThanOrEqual(maxLength);
          expect(scoreFrom).toBeGreaterThanOrEqual(1);
          expect(scoreFrom).toBeLessThan(ids.length);
          expect(row.ids.length - ids.length).toBe(cut.cutTokens);
          if (rule === 'prompt-start') expect(ids.slice(scoreFrom)).toEqual(row.ids.slice(row.scoreFrom));
        },
      ),
      { seed: 7 },
    );
  });
});
