import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '@kelpie/policy';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyModels } from '../policy/models.js';
import { Check } from './check.js';
import type { GoldenFile } from './golden-file.js';
import { checkFolder, goldenFolders, totals } from './models.js';
import { scaledCopy } from './reference.js';
import { sections } from './sections.js';

const ids = [3, 1, 4, 1, 5];
let root = '';
let gpt2 = '';

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kelpie-golden-test-'));
  gpt2 = join(root, 'gpt2');
  const config = join(root, 'config.json');
  await writeFile(config, JSON.stringify(tinyModels.find(({ name }) => name === 'gpt2')!.config));
  const engine = await Engine.open({ init: { config, seed: 1 } });
  await engine.save(gpt2);
  await engine.dispose();
});
afterAll(() => rm(root, { recursive: true, force: true }));

test('a gpt2 that does not name its reference was compared with a tensor it lacks', async () => {
  const reference = await scaledCopy(gpt2, { tensor: 'transformer.ln_f.weight', times: 0.5 });
  const engine = await Engine.open({ model: gpt2, reference: reference.folder });
  const trees = [{ trunk: [], branches: [{ ids, scoreFrom: 1 }] }];
  const { forwardKl } = await engine.score({ trees, scores: ['forwardKl'] });
  await engine.dispose();
  await reference.remove();
  expect(Math.max(...forwardKl!)).toBeGreaterThan(0.001);
  const golden = { prompts: [{ ids, kl_reference_policy: [...forwardKl!] }] };
  await writeFile(join(gpt2, 'golden.json'), JSON.stringify(golden));
  const before = { ...totals };
  await checkFolder(gpt2, { folder: root });
  expect(totals).toEqual({ ...before, passed: before.passed + 1 });
});

test('prompts without a KL opened a reference', async () => {
  const prompts = sections.find(({ name }) => name === 'prompts')!;
  const asked = async (keys: object) => {
    const wanted: (boolean | undefined)[] = [];
    const golden: GoldenFile = { prompts: [{ ids, ...keys }] };
    const open = async ({ reference }: { readonly reference?: boolean } = {}) => {
      wanted.push(reference);
      return Engine.open({ model: gpt2, ...(reference === true && { reference: gpt2 }) });
    };
    await prompts.run({ golden, folder: gpt2, goldenFolder: gpt2, open }, new Check());
    return wanted;
  };
  expect(await asked({ entropy: [] })).toEqual([false]);
  expect(await asked({ kl_policy_reference: [0, 0] })).toEqual([true]);
});

test('of two links to one folder one was checked; a link to a folder above is not followed for ever', async () => {
  const links = await mkdtemp(join(root, 'links-'));
  await symlink(gpt2, join(links, 'a'));
  await symlink(gpt2, join(links, 'b'));
  await symlink(links, join(links, 'c'));
  await writeFile(join(gpt2, 'golden.json'), '{}');
  expect(await goldenFolders(links)).toEqual([join(links, 'a'), join(links, 'b')]);
});
