import { z } from 'zod';
import { rule } from '../rule.js';
import { defineSource } from '../source.js';
import { unit, unitsOf } from '../units.js';

/** -penalty (1 - distinct/all) over the n-grams of a completion; 0 where it is shorter than n. Words without case. */
export const repetition = defineSource({
  name: 'repetition',
  summary: 'minus the share of n-grams that were there before',
  options: {
    unit: unit.default('words'),
    n: z.int().min(1).default(3).describe('Length of the n-grams.'),
    penalty: z
      .number()
      .positive()
      .default(1)
      .describe('What a completion of nothing but repetitions comes near to losing.'),
  },
  open({ name, unit, n, penalty }) {
    return rule(name, (row) => {
      const pieces = unitsOf(row, unit).map((piece) => (typeof piece === 'string' ? piece.toLowerCase() : piece));
      const count = pieces.length - n + 1;
      if (count < 1) return 0;
      const distinct = new Set(Array.from({ length: count }, (_, at) => JSON.stringify(pieces.slice(at, at + n)))).size;
      return (penalty * (distinct - count)) / count;
    });
  },
});
