import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bundle, bundled, inBareContext } from './bundle.js';
import { Project } from './project.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const readme = readFileSync(here('../../packages/objectives/README.md'), 'utf8');
const example = /```ts\n(.*?)```/s.exec(readme)![1]!;
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');

let project: Project;
beforeAll(() => {
  expect(existsSync(here('../../packages/objectives/dist/index.js')), 'not built: npm run build').toBe(true);
  project = new Project();
});
afterAll(() => project?.remove());

/** Of the objectives package, by path below `dist`. */
function ownModules({ modules }: Bundle): string[] {
  const prefix = '@kelpie/objectives/dist/';
  return [...modules.keys()].flatMap((path) => (path.startsWith(prefix) ? [path.slice(prefix.length)] : []));
}

const ownBytes = ({ modules }: Bundle) =>
  [...modules].reduce((sum, [path, bytes]) => sum + (path.startsWith('@kelpie/objectives/') ? bytes : 0), 0);

describe('the packed package in an empty project', () => {
  it('brings its code, its types and no tests, and needs zod alone', () => {
    const { files } = project.packed;
    expect(files).toEqual(expect.arrayContaining(['README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts']));
    expect(files.filter((file) => /\.test\.|tsbuildinfo/.test(file))).toEqual([]);
    expect(readdirSync(project.at('node_modules')).filter((name) => !name.startsWith('.'))).toEqual(['@kelpie', 'zod']);
    const told = JSON.parse(readFileSync(project.at('node_modules/@kelpie/objectives/package.json'), 'utf8'));
    expect(Object.keys(told.dependencies)).toEqual(['zod']);
  });

  it("runs the README's example in Node", () => {
    project.write('app/example.mjs', example);
    expect(project.run(process.execPath, ['example.mjs'])).toMatch(/^0\.31326168751822286\n1\nFloat64Array\(4\) \[/);
  });

  it('is typed: the example compiles; a wrong option and a divergence that is no link do not', () => {
    const wrong = [
      'betta is no option',
      'dpo.resolveOptions({ betta: 1 });',
      'its partition term does not cancel',
      'fDpoThrough(pearsonChi2);',
      'its partition term does not cancel',
      'fDpoThrough(totalVariation);',
      'not a divergence of f-DPO',
      "fDpo.resolveOptions({ divergence: 'pearson-chi2' });",
    ].map((line, i) => (i % 2 === 0 ? `// @ts-expect-error ${line}` : line));
    const head = [
      "import { fDpo, fDpoThrough, jensenShannon, pearsonChi2, totalVariation } from '@kelpie/objectives';",
      'declare const console: { log(...values: unknown[]): void };',
    ];
    project.write('app/typed.ts', [...head, example, 'fDpoThrough(jensenShannon);', ...wrong].join('\n'));
    const flags = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--skipLibCheck', 'false'];
    expect(project.run(process.execPath, [tsc, ...flags, 'typed.ts'])).toBe('');
  });

  it('has each of its entries', () => {
    const names = [
      '@kelpie/objectives',
      ...['certify', 'enumerable', 'testing'].map((name) => `@kelpie/objectives/${name}`),
    ];
    const code = `for (const name of ${JSON.stringify(names)}) console.log(Object.keys(await import(name)).length > 0);`;
    project.write('app/entries.mjs', code);
    expect(project.run(process.execPath, ['entries.mjs'])).toBe('true\n'.repeat(4));
  });
});

describe('bundled for a browser', () => {
  let one: Bundle;
  let all: Bundle;
  beforeAll(async () => {
    one = await bundled(project, `export { dpo } from '@kelpie/objectives';\n`);
    all = await bundled(project, `export * from '@kelpie/objectives';\n`);
  });

  it('has nothing of Node in it', () => {
    for (const { code, modules } of [one, all]) {
      expect([...modules.keys()].filter((path) => /__vite-browser-external/.test(path))).toEqual([]);
      const asked = [...code.matchAll(/\b(?:require|import)\(\s*["']([^"']+)["']\s*\)|\bfrom\s+["']([^"']+)["']/g)];
      const builtin = new Set(builtinModules);
      expect(
        asked.flatMap(([, a, b]) => a ?? b ?? []).filter((name) => builtin.has(name.replace('node:', ''))),
      ).toEqual([]);
    }
  });

  it('of `import { dpo }` is dpo and what it calls: no other objective, no catalogue', () => {
    const own = ownModules(one);
    expect(own.filter((path) => path.startsWith('objectives/'))).toEqual(['objectives/dpo.js']);
    expect(own).not.toContain('catalog.js');
    expect(ownModules(all).filter((path) => path.startsWith('objectives/')).length).toBeGreaterThan(40);
    const share = ownBytes(one) / ownBytes(all);
    expect(share, `${ownBytes(one)} of ${ownBytes(all)} bytes: ${own.join(', ')}`).toBeLessThan(0.15);
  });

  it('runs where there is nothing but the language', () => {
    const input = `{ rows: 2, tokens: 2, completionMask: Uint8Array.of(1, 1, 1, 0),
      policy: { logprobs: Float64Array.of(-1, -2, -3, 0) }, reference: { logprobs: Float64Array.of(-2, -2, -2, 0) } }`;
    const expression = `bundle.dpo.evaluate(${input}, { beta: 0.5 }).loss`;
    for (const { code } of [one, all]) expect(inBareContext(code, expression)).toBe(0.31326168751822286);
    expect(inBareContext('', '[typeof process, typeof Buffer, typeof require]')).toEqual([
      'undefined',
      'undefined',
      'undefined',
    ]);
  });

  it('leaves nothing of an import of which nothing is used, as `sideEffects: false` says', async () => {
    expect(ownModules(await bundled(project, `import '@kelpie/objectives';\nexport const nothing = 0;\n`))).toEqual([]);
  });

  it('changes nothing outside itself while it is evaluated, so that `sideEffects: false` is true', () => {
    const watch = `const shape = () => Object.fromEntries(Object.getOwnPropertyNames(globalThis).map((name) => {
      const value = globalThis[name];
      const holds = value !== globalThis && ((typeof value === 'object' && value !== null) || typeof value === 'function');
      return [name, holds ? [value, value.prototype ?? {}].flatMap(Object.getOwnPropertyNames).sort().join() : typeof value];
    }));
    const before = shape();\n`;
    const changed = `Object.entries(shape()).flatMap(([name, now]) => (before[name] === now ? [] : [name]))`;
    // The bundle itself, and the one place that every copy of zod keeps its settings in.
    expect(inBareContext(`${watch}${all.code}`, `${changed}.sort()`)).toEqual([
      '__zod_globalConfig',
      '__zod_globalRegistry',
      'bundle',
    ]);
    expect(inBareContext(`${watch}Array.prototype.more = 1;`, changed)).toEqual(['Array']);
  });
});
