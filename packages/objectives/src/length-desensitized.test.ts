import { expect, test } from 'vitest';
import { lengthDesensitized } from './length-desensitized.js';
import { dpo, ipo, ldDpo } from './objectives/index.js';
import { pairsOf, testObjective } from './testing/index.js';

const shortened = lengthDesensitized({ objective: ipo, options: { beta: 0.5 } }, 0.25);
for (const { name, run } of testObjective(shortened)) test(`shared checks: ${name}`, run);

const input = pairsOf([[1, 2, 4], [1]], [[0.5], [1, -3]]);

test('of dpo it is ld-dpo', () => {
  const { loss, cotangents } = lengthDesensitized({ objective: dpo, options: { beta: 0.3 } }, 0.4).evaluate(input);
  const same = ldDpo.evaluate(input, { beta: 0.3, alpha: 0.4 });
  expect({ loss, cotangents }).toEqual({ loss: same.loss, cotangents: same.cotangents });
});

test('a length divided by stays the whole one', () => {
  // Chosen: (1 + (2 + 5)/4) / 3, rejected 1
  const { loss } = shortened.evaluate(pairsOf([[1, 2, 5], [1]]));
  expect(loss).toBeCloseTo(((1 + 7 / 4) / 3 - 1 - 1) ** 2, 14);
});
