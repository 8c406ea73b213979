import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { GoldenFile } from './formulas/case.js';
import { compareCase } from './formulas/compare.js';
import { variantsOf } from './formulas/index.js';

const folder = new URL('./objectives/', import.meta.url);

for (const name of readdirSync(folder)) {
  const file = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as GoldenFile;
  describe(file.objective, () => {
    test.each(file.cases)('$id', async (golden) => {
      const { ratio, what, compared } = compareCase(file, golden, await variantsOf(file.objective));
      expect(compared).toBeGreaterThan(0);
      expect(ratio, what).toBeLessThanOrEqual(1);
    });
  });
}
