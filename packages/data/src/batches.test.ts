import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PlanOptions, plan, treeTokens } from './batches.js';
import type { DataError } from './error.js';

const ofLength = (length: number) => ({
  tree: { trunk: Array(length).fill(7), branches: [{ ids: [], scoreFrom: 1 }] },
});
const examples = (lengths: readonly number[]) => lengths.map(ofLength);
const base = { examples: examples([5, 9, 2, 7, 4, 4, 8, 3, 6, 1]), rowsPerStep: 4 };

describe('a plan', () => {
  it('counts a trunk once', () => {
    const tree = {
      trunk: [1, 2, 3],
      branches: [
        { ids: [4], scoreFrom: 3 },
        { ids: [5, 6], scoreFrom: 3 },
      ],
    };
    expect(treeTokens(tree)).toBe(6);
  });

  it('takes every row once an epoch, whatever the options', () => {
    const options = fc.record({
      lengths: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 40 }),
      rowsPerStep: fc.integer({ min: 1, max: 12 }),
      microBatchTokens: fc.option(fc.integer({ min: 20, max: 60 }), { nil: undefined }),
      microBatchRows: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
      seed: fc.integer(),
      shuffle: fc.boolean(),
      sortByLength: fc.boolean(),
      epochs: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(options, ({ lengths, microBatchTokens, microBatchRows, ...others }) => {
        const run = plan({
          examples: examples(lengths),
          ...(microBatchTokens === undefined ? {} : { microBatchTokens }),
          ...(microBatchRows === undefined ? {} : { microBatchRows }),
          ...others,
        });
        const steps = [...run.from()];
        expect(steps).toHaveLength(run.steps);
        for (let epoch = 0; epoch < others.epochs; epoch++) {
          const rows = steps.filter((step) => step.epoch === epoch).flatMap((step) => step.rows);
          expect(rows.toSorted((a, b) => a - b)).toEqual([...lengths.keys()]);
        }
        for (const step of steps) {
          expect(step.microBatches.flat().toSorted()).toEqual(step.rows.toSorted());
          for (const part of step.microBatches) {
            const longest = Math.max(...part.map((row) => lengths[row] as number));
            expect(part.length * longest).toBeLessThanOrEqual(microBatchTokens ?? Infinity);
            expect(part.length).toBeLessThanOrEqual(microBatchRows ?? Infinity);
          }
        }
      }),
      { seed: 7 },
    );
  });

  it('puts rows of like length together', () => {
    const { microBatches, tokens, paddedTokens } = plan({ ...base, rowsPerStep: 10, microBatchTokens: 18 }).at(0);
    expect(microBatches.map((part) => part.map((row) => treeTokens(base.examples[row]!.tree)))).toEqual([
      [9, 8],
      [7, 6],
      [5, 4, 4],
      [3, 2, 1],
    ]);
    expect({ tokens, paddedTokens }).toEqual({ tokens: 49, paddedTokens: 18 + 14 + 15 + 9 });
  });

  it('keeps the order when told to', () => {
    const run = plan({ ...base, microBatchRows: 2, shuffle: false, sortByLength: false, epochs: 2 });
    expect([...run.from(1)].map(({ microBatches }) => microBatches).slice(0, 3)).toEqual([
      [
        [4, 5],
        [6, 7],
      ],
      [[8, 9]],
      [
        [0, 1],
        [2, 3],
      ],
    ]);
    expect(run.stepsPerEpoch).toBe(3);
  });

  it('depends on seed, epoch and step alone, so a resumed run goes on as it would have', () => {
    const options: PlanOptions = { ...base, microBatchTokens: 20, seed: 3, epochs: 4 };
    const whole = [...plan(options).from()];
    expect([...plan(options).from(5)]).toEqual(whole.slice(5));
    const asked = plan(options);
    expect(whole.map(({ step }) => asked.at(step)).toReversed()).toEqual(whole.map((_, i) => plan(options).at(11 - i)));
  });

  it('has another order for each epoch and each seed', () => {
    const orders = [0, 1, 2, 3, -1].flatMap((seed) => {
      const steps = [...plan({ examples: examples(Array(50).fill(1)), rowsPerStep: 50, seed, epochs: 4 }).from()];
      return steps.map(({ rows }) => rows.join());
    });
    expect(new Set(orders).size).toBe(20);
  });

  it('draws every order of three rows about as often', () => {
    const run = plan({ examples: examples([1, 1, 1]), rowsPerStep: 3, epochs: 6000, sortByLength: false });
    const counts = new Map<string, number>();
    for (const { rows } of run.from()) counts.set(rows.join(), (counts.get(rows.join()) ?? 0) + 1);
    // Expected 1,000 each, standard deviation 29.
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
    expect(counts.size).toBe(6);
  });

  it('may go on for ever, or leave out what does not fill a step', () => {
    expect(plan({ ...base, epochs: Infinity }).at(1000).epoch).toBe(333);
    expect(plan({ ...base, dropLast: true }).stepsPerEpoch).toBe(2);
  });

  it('refuses rows that no micro-batch can hold, and options that make no sense', () => {
    const run = (options: Partial<PlanOptions>) => () => plan({ ...base, ...options });
    expect(run({ microBatchTokens: 7 })).toThrow(
      '2 rows do not fit into a micro-batch of 7 tokens, the first is row 1 with 9.\nRaise `microBatchTokens` to 9, or lower `maxLength`.',
    );
    for (const options of [
      { rowsPerStep: 0 },
      { epochs: 0.5 },
      { seed: 0.1 },
      { microBatchRows: -1 },
      { examples: [] },
    ])
      expect(run(options)).toThrow(expect.objectContaining<Partial<DataError>>({ code: 'bad-option' }));
    expect(run({ examples: [] })).toThrow('No row is left to train on.\nHold out fewer rows, or add some.');
    expect(run({ rowsPerStep: 11, dropLast: true })).toThrow(
      'Of 10 rows no step of 11 can be made, and `dropLast` is set.\nLower `rowsPerStep`',
    );
    expect(() => plan(base).at(3)).toThrow('`step` must be from 0 to 2, but is 3.');
  });
});
