import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { objectives, objectivesTable } from '../catalog.js';
import { testObjective } from '../testing/index.js';

const files = readdirSync(new URL('.', import.meta.url))
  .filter((file) => !/^index\.ts$|\.test\.ts$/.test(file))
  .map((file) => file.replace(/\.ts$/, ''));

test('every file is an objective of its name', () => {
  expect(Object.keys(objectives).sort()).toEqual(files.sort());
});

test('every objective has a test beside it', () => {
  for (const file of files) expect(readdirSync(new URL('.', import.meta.url))).toContain(`${file}.test.ts`);
});

test("the README's table is what the objectives declare", () => {
  expect(readFileSync(new URL('../../README.md', import.meta.url), 'utf8')).toContain(objectivesTable());
});

describe.each(Object.values(objectives))('$name', (objective) => {
  for (const { name, run } of testObjective(objective)) test(name, run);
});
