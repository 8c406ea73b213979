import { configDefaults, defineConfig } from 'vitest/config';

const conditions = ['@kelpie/source', 'import', 'module', 'node', 'default'];
/** What a run takes is measured while nothing else runs: what its allocator leaves unused depends on when its threads get on. */
const alone = ['apps/cli/src/memory.test.ts'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: ['packages', 'apps', 'datasets', 'test'].map((folder) => `${folder}/**/*.test.ts`),
          exclude: [...configDefaults.exclude, '**/dist/**', ...alone],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      { extends: true, test: { name: 'alone', include: alone, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
});
