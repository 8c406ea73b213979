import { expect, test } from 'vitest';
import { theoryChecks } from './theory/index.js';

test.each(theoryChecks.map((check) => [check.name, check] as const))('%s', (_, check) => {
  const { passed, found } = check.run();
  expect(passed, found).toBe(true);
});
