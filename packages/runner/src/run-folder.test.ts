import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dpo } from '@kelpie/objectives';
import { expect, it } from 'vitest';
import { trainOffline } from './offline.js';
import { openRunFolder } from './run-folder.js';
import { altered, scratch, tinyOptions, tinyPairs, tinyPolicy } from './testing/tiny.js';

const place = scratch();

const failing = async (outFolder: string) => {
  const policy = await tinyPolicy(place('policy'));
  const broken = altered(policy, { vjp: () => Promise.reject(new Error('no gradient')) });
  return trainOffline({ policy: broken, objective: dpo, examples: tinyPairs(8), outFolder, options: tinyOptions });
};

it('a run that fails before its first step leaves nothing behind', async () => {
  await expect(failing(place('a/b/run'))).rejects.toThrow('no gradient');
  expect(existsSync(place('a'))).toBe(false);
});

it('what was in the folder before stays', async () => {
  mkdirSync(place('run/reference'), { recursive: true });
  writeFileSync(place('run/notes.txt'), 'mine');
  await expect(failing(place('run'))).rejects.toThrow('no gradient');
  expect(readdirSync(place('run')).sort()).toEqual(['notes.txt', 'reference']);
  expect(readFileSync(place('run/notes.txt'), 'utf8')).toBe('mine');
});

it('left-overs of a dead process go, and nothing else', () => {
  mkdirSync(place('left/reference'), { recursive: true });
  for (const name of ['.run.json.partial-0123456789ab', 'reference/.train-1.partial-0123456789ab', '.hidden'])
    writeFileSync(join(place('left'), name), '');
  openRunFolder(place('left'));
  expect(readdirSync(place('left'), { recursive: true }).sort()).toEqual(['.hidden', 'reference']);
});

it.skipIf(!existsSync('/proc/self'))('a folder that the system refuses is an error at once', () => {
  expect(() => openRunFolder('/proc/nowhere/run')).toThrow(
    'it cannot be written: the system takes no folder there; choose another path (path `/proc/nowhere/run`, system `ENOENT`)',
  );
});
