import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['@kelpie/source', 'import', 'module', 'node', 'default'] },
  ssr: { resolve: { conditions: ['@kelpie/source', 'import', 'module', 'node', 'default'] } },
  test: {
    include: ['packages/**/src/**/*.test.ts', 'apps/**/src/**/*.test.ts', 'test/**/*.test.ts', 'datasets/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
