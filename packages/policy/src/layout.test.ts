import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Rotary } from './architecture.js';
import { layOut } from './layout.js';
import { pathsOf, type TokenTree, treeOf } from './tree.js';

const sequence = fc
  .array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 12 })
  .chain((ids) => fc.integer({ min: 1, max: ids.length + 1 }).map((scoreFrom) => ({ ids, scoreFrom })));
const trees = fc.array(fc.array(sequence, { minLength: 1, maxLength: 4 }).map(treeOf), { minLength: 1, maxLength: 6 });

/** What token i of a row may see, by the rule the graph uses. */
function seen(layout: ReturnType<typeof layOut>, slot: number): number[] {
  const row = Math.floor(slot / layout.tokens) * layout.tokens;
  const i = slot - row;
  return Array.from({ length: i + 1 }, (_, j) => row + j).filter((j) => i < layout.ends[j]!);
}

const sizes = { vocabularySize: 4, contextLength: 1024, layers: 2 };
const dimensions = { ...sizes, hiddenSize: 128, kvHeads: 4, headDim: 16 };
/** Attention is nearly all that its passes cost: trees are cut early. */
const thin = { ...sizes, hiddenSize: 4, kvHeads: 4, headDim: 1 };

test('every scored token is predicted from a slot that sees its own path and nothing else', () => {
  fc.assert(
    fc.property(trees, fc.constantFrom(undefined, thin), (batch, dimensions) => {
      const layout = layOut(batch, { ...(dimensions && { dimensions }) });
      let at = 0;
      batch.flatMap(pathsOf).forEach(({ ids, scoreFrom }, completion) => {
        expect(layout.counts[completion]).toBe(Math.max(0, ids.length - scoreFrom));
        for (let position = scoreFrom; position < ids.length; position++, at++) {
          expect(Number(layout.targets[at])).toBe(ids[position]);
          const slots = seen(layout, layout.sources[at]!);
          expect(slots.map((slot) => Number(layout.ids[slot]))).toEqual(ids.slice(0, position));
          expect(slots.map((slot) => Number(layout.positions[slot]))).toEqual(ids.slice(0, position).map((_, p) => p));
        }
      });
      expect(at).toBe(layout.sources.length);
    }),
    { verbose: true },
  );
});

test('short trees share a row', () => {
  const plain = (length: number): TokenTree => treeOf([{ ids: Array(length).fill(1), scoreFrom: 1 }]);
  const layout = layOut([plain(3), plain(8), plain(5), plain(2)]);
  expect([layout.rows, layout.tokens]).toEqual([2, 7]);
  expect(layOut([plain(3), plain(8), plain(5)])).toMatchObject({ rows: 2, tokens: 7 });
});

test('many branches on a short trunk are cut into several trees, and few on a long one stay together', () => {
  const tree = (trunk: number, branches: number, length: number) =>
    treeOf(
      Array.from({ length: branches }, (_, b) => ({
        ids: [...Array(trunk).fill(1), 2 + b, ...Array(length - 1).fill(1)],
        scoreFrom: trunk,
      })),
    );
  expect(layOut([tree(5, 8, 64), tree(5, 8, 64)], { dimensions })).toMatchObject({ rows: 16, tokens: 68 });
  expect(layOut([tree(300, 2, 40)], { dimensions })).toMatchObject({ rows: 1, tokens: 378 });
  expect(layOut([tree(5, 8, 64)])).toMatchObject({ rows: 1, tokens: 509 });
});

test('a tree whose branches take different angles is split into plain rows', () => {
  const rotary: Rotary = {
    dim: 2,
    varies: true,
    classOf: (length) => (length > 4 ? 'long' : 'short'),
    frequencies: () => ({ inverseFrequencies: new Float64Array(1), attentionScaling: 1 }),
  };
  const tree = treeOf([
    { ids: [1, 2, 3], scoreFrom: 2 },
    { ids: [1, 2, 3, 4, 5, 6], scoreFrom: 2 },
  ]);
  const layout = layOut([tree], { rotary });
  expect(layout.angleLengths.map((length) => rotary.classOf(length)).sort()).toEqual(['long', 'short']);
  expect(layout.counts).toEqual([1, 4]);
  expect(Number(layout.targets[0])).toBe(3);
});
