import { expect, test } from 'vitest';
import { dpo } from './objectives/index.js';
import { pairsOf, testObjective } from './testing/index.js';
import { withoutReference } from './without-reference.js';

const free = withoutReference({ objective: dpo, options: { beta: 0.5 } });
for (const { name, run } of testObjective(free)) test(`shared checks: ${name}`, run);

test('log-probabilities in the place of logratios', () => {
  const { reference: _, ...input } = pairsOf([[1, 0], [-1]]);
  expect(free.needsOf().reference).toEqual([]);
  // Log-probabilities -1, -2 and -3: a margin of 0
  expect(free.evaluate(input).loss).toBe(Math.LN2);
});
