import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dpo, getObjective, ObjectiveError } from '@kelpie/objectives';
import { describe, expect, it } from 'vitest';
import { flagLayer, placeOf, setLayer } from './config/flags.js';
import { resolveConfig } from './config/resolve.js';
import { calledName, isCalled, isObjectiveFile, loadObjective } from './custom-objective.js';

const root = mkdtempSync(join(tmpdir(), 'kelpie-custom-'));

function file(name: string, text: string): string {
  const path = join(root, name);
  writeFileSync(path, text);
  return path;
}

const head = `import { defineObjective, type Objective } from '@kelpie/objectives';\nimport { z } from 'zod';\n`;

/** Of a constant loss; `as` goes before it, `evaluate` is its body. */
const definition = (
  name: string,
  evaluate = 'return { loss: weight, metrics: {}, cotangents: {} };',
) => `defineObjective({
  name: '${name}', title: 'T', summary: 'S', paper: 'P', rows: 'single', separable: true,
  needs: { policy: ['logprobs'], reference: [] },
  options: { weight: z.number().min(0).default(2).describe('W.'), model: z.boolean().default(false).describe('M.') },
  evaluate(_: unknown, { weight }: { weight: number }) { ${evaluate} },
});\n`;

async function refusal(path: string): Promise<string> {
  const message = await loadObjective(path).then(
    () => 'accepted',
    (error: Error) => `${error.name}: ${error.message}`,
  );
  return message.replaceAll(root, 'ROOT');
}

const input = {
  rows: 1,
  tokens: 1,
  completionMask: Uint8Array.of(1),
  policy: { logprobs: Float64Array.of(-1) },
};

describe('a file of a folder without node_modules', () => {
  it('gives its default export, its only one, or the one that is named', async () => {
    const only = await loadObjective(file('only.ts', `${head}export const mine = ${definition('mine')}`));
    expect(only.evaluate(input, { weight: 3 }).loss).toBe(3);
    expect(only.defaults).toEqual({ weight: 2, model: false });
    const entries = `import { testObjective } from '@kelpie/objectives/testing';
      import { optimalPolicy } from '@kelpie/objectives/enumerable';
      import * as certify from '@kelpie/objectives/certify';
      if (!testObjective || !optimalPolicy || !Object.keys(certify).length) throw new Error('no entry');\n`;
    const importing = file('importing.ts', `${head}${entries}export default ${definition('importing')}`);
    expect((await loadObjective(importing)).name).toBe('importing');
    const two = file(
      'two.ts',
      `${head}export const one = ${definition('first')}export const two = ${definition('second')}`,
    );
    expect((await loadObjective(`${two}#first`)).name).toBe('first');
    expect((await loadObjective(`${two}#two`)).name).toBe('second');
    expect(await refusal(two)).toBe(
      'UsageError: `ROOT/two.ts` exports 2 objectives: say which, `ROOT/two.ts#first`, `ROOT/two.ts#second`',
    );
    expect(await refusal(`${two}#third`)).toBe(
      'UsageError: `ROOT/two.ts` exports no objective `third`; there is `ROOT/two.ts#first`, `ROOT/two.ts#second`',
    );
    const chosen = file(
      'default.ts',
      `${head}export const one = ${definition('first')}export default ${definition('second')}`,
    );
    expect((await loadObjective(chosen)).name).toBe('second');
  });

  it('reads the very package of this program', async () => {
    const path = file('same.ts', `export { dpo as default } from '@kelpie/objectives';\n`);
    expect((await loadObjective(path)).options).toBe(dpo.options);
    const mine = await loadObjective(
      file(
        'only.mjs',
        `${head.replace(', type Objective', '')}export default ${definition('mine').replace(/: unknown|: \{ weight: number \}/g, '')}`,
      ),
    );
    expect(() => mine.evaluate(input, { wieght: 1 })).toThrow(ObjectiveError);
  });

  it('has a hash that changes with it, and with what it imports from beside it', async () => {
    file('beside.ts', 'export const factor: number = 1;\n');
    const text = `${head}import { factor } from './beside';\nexport default ${definition('mine', 'return { loss: factor, metrics: {}, cotangents: {} };')}`;
    const hash = async (path: string) => (await loadObjective(path)).source.hash;
    const path = file('with-beside.ts', text);
    const first = await hash(path);
    expect(await hash(path)).toBe(first);
    file('beside.ts', 'export const factor: number = 2;\n');
    const second = await loadObjective(path);
    expect(second.source.hash).not.toBe(first);
    expect(second.evaluate(input).loss).toBe(2);
    expect(await hash(file('with-beside.ts', `${text}\n`))).not.toBe(second.source.hash);
  });
});

describe('what is wrong with a file is told with its line', () => {
  it.each([
    ['syntax.ts', `${head}const x: number = = 1;\n`, 'ROOT/syntax.ts:3:19: Unexpected token\n  const x: number = = 1;'],
    ['throws.ts', `${head}\nthrow new Error('no luck');\n`, 'ROOT/throws.ts:4: no luck'],
    [
      'absent.ts',
      `import { x } from './nowhere';\nexport default x;\n`,
      "ROOT/absent.ts:1: Cannot find module './nowhere'",
    ],
    [
      'none.ts',
      'export const answer = 42;\n',
      '`ROOT/none.ts` exports no objective: export what `defineObjective` gives',
    ],
    [
      'name.ts',
      `${head}export default ${definition('My Loss')}`,
      '`ROOT/name.ts`: `name`: expected small letters, digits and dashes, as `margin-dpo`, got `My Loss`',
    ],
    [
      'needs.ts',
      `${head}export default ${definition('mine').replace('reference: []', 'values: []')}`,
      '`ROOT/needs.ts`: `needs.reference`: Invalid input: expected array, received undefined',
    ],
  ])('%s', async (name, text, message) => {
    expect(await refusal(file(name, text))).toBe(`UsageError: ${message}`);
  });

  it('an option without a default', async () => {
    const text = `${head}export default ${definition('mine').replace('.default(2)', '')}`;
    expect(await refusal(file('preset.ts', text))).toMatch(
      /^UsageError: ROOT\/preset\.ts:3: objective `mine`, option `weight`: /,
    );
  });

  it('a file that is not there, and a folder', async () => {
    expect(await refusal(join(root, 'gone.ts'))).toBe('UsageError: there is no file `ROOT/gone.ts`');
    expect(await refusal(root)).toBe('UsageError: `ROOT` is no file: name one that exports an objective');
  });

  it('what `evaluate` throws, later', async () => {
    const mine = await loadObjective(
      file('late.ts', `${head}export default ${definition('mine', '\nreturn weight.none.here;')}`),
    );
    expect(() => mine.evaluate(input)).toThrow(/late\.ts:8: Cannot read properties of undefined/);
  });
});

describe('in configs and flags', () => {
  it('a file is called by its path, from wherever that is written', async () => {
    const path = file('called.ts', `${head}export default ${definition('mine')}`);
    const mine = await loadObjective(path);
    expect(calledName(mine)).toBe(path);
    expect([path, `${path}#mine`, join(root, '.', 'called.ts')].every((called) => isCalled(called, mine))).toBe(true);
    expect(['mine', `${path}#other`, join(root, 'only.ts'), 3].some((called) => isCalled(called, mine))).toBe(false);
    expect(isCalled('dpo', getObjective('dpo'))).toBe(true);
    expect([isObjectiveFile('./mine.ts#a'), isObjectiveFile('dpo'), isObjectiveFile('run.yaml')]).toEqual([
      true,
      false,
      false,
    ]);
    const { config } = resolveConfig(mine, [setLayer([`objective.name=${path}`, 'objective.weight=4'])]);
    expect(config.objective).toEqual({ name: path, weight: 4, model: false });
    expect(() => resolveConfig(mine, [setLayer(['objective.name=dpo'])])).toThrow(`the command is \`train ${path}\``);
    expect(() => resolveConfig(mine, [setLayer(['objective.wieght=4'])])).toThrow('nearest: `objective.weight`');
  });

  it('an option with the name of a flag has a flag of another name', async () => {
    const mine = await loadObjective(file('clash.ts', `${head}export default ${definition('mine')}`));
    expect(placeOf('mineModel', mine)).toEqual(['objective', 'model']);
    expect(placeOf('model', mine)).toEqual(['model', 'path']);
    const layer = flagLayer([{ attribute: 'mineModel', flag: '--mine-model', value: true }], mine);
    expect(resolveConfig(mine, [layer]).config.objective).toEqual({
      name: join(root, 'clash.ts'),
      weight: 2,
      model: true,
    });
  });
});
