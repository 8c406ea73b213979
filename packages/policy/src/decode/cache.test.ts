import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Cache } from './cache.js';

const dimensions = { vocabularySize: 1, hiddenSize: 1, contextLength: 1, layers: 2, kvHeads: 2, headDim: 3 };
const { layers, kvHeads, headDim } = dimensions;

/** One token of some rows: each number says where it belongs. */
function tokens(rows: readonly { id: number; length: number }[]) {
  return Array.from({ length: layers }, (_, layer) => {
    const of = (kind: number) =>
      Float64Array.from(
        rows.flatMap(({ id, length }) =>
          Array.from({ length: kvHeads * headDim }, (_, i) => numberOf(id, length, layer, kind, i)),
        ),
      );
    return { keys: of(0), values: of(1) };
  });
}

const numberOf = (id: number, position: number, layer: number, kind: number, i: number): number =>
  1 + i + 10 * (kind + 2 * (layer + layers * (position + 1000 * id)));

/** Rows enter, grow and leave as they like: whoever stays finds every token where it was put, through all sizes. */
test('a slot holds its row, whoever enters, leaves and grows', () => {
  const action = fc.record({
    kind: fc.constantFrom('grow', 'enter', 'leave'),
    amount: fc.integer({ min: 1, max: 70 }),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 25 }), fc.integer({ min: 1, max: 400 }), (actions, longest) => {
      const slots = 5;
      const cache = new Cache(dimensions, 'float64', slots, longest);
      const rows: { id: number; length: number }[] = [];
      let next = 0;
      const grow = () => {
        cache.fit(Math.max(...rows.map(({ length }) => length)) + 1, rows.length);
        cache.append(
          tokens(rows),
          rows.map(({ length }) => length),
        );
        for (const row of rows) row.length++;
      };
      for (const { kind, amount } of actions) {
        if (kind === 'enter' && rows.length < slots) {
          const row = { id: next++, length: amount };
          cache.fit(Math.max(...rows.map(({ length }) => length), amount) + 1, rows.length);
          const present = presentOf(row);
          cache.place(rows.length, present, { row: 0, start: 2, tokens: amount + 3, length: amount });
          rows.push(row);
        } else if (kind === 'leave' && rows.length > 0) {
          const slot = amount % rows.length;
          const last = rows.pop()!;
          if (slot < rows.length) {
            cache.move(rows.length, slot);
            rows[slot] = last;
          }
        } else if (rows.length > 0) for (let i = 0; i < amount; i++) grow();
      }
      if (rows.length === 0) return;
      cache.view(rows.length).forEach(({ keys, values }, layer) => {
        expect(keys).toHaveLength(rows.length * kvHeads * cache.capacity * headDim);
        rows.forEach(({ id, length }, slot) => {
          for (let head = 0; head < kvHeads; head++) {
            for (let position = 0; position < length; position++) {
              const at = ((slot * kvHeads + head) * cache.capacity + position) * headDim;
              expect(keys[at]).toBe(numberOf(id, position, layer, 0, head * headDim));
              expect(values[at + 2]).toBe(numberOf(id, position, layer, 1, head * headDim + 2));
            }
          }
        });
      });
    }),
    { numRuns: 60 },
  );
});

/** A prefill of one row [1, kvHeads, tokens, headDim] in which the sequence begins at 2. */
function presentOf({ id, length }: { id: number; length: number }) {
  return Array.from({ length: layers }, (_, layer) => {
    const of = (kind: number) => {
      const data = new Float64Array(kvHeads * (length + 3) * headDim).fill(Number.NaN);
      for (let head = 0; head < kvHeads; head++) {
        for (let position = 0; position < length; position++) {
          for (let j = 0; j < headDim; j++) {
            const at = (head * (length + 3) + 2 + position) * headDim + j;
            data[at] = numberOf(id, position, layer, kind, head * headDim + j);
          }
        }
      }
      return data;
    };
    return { keys: of(0), values: of(1) };
  });
}
