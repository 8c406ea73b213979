import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { dpo } from '@kelpie/objectives';
import { expect, it } from 'vitest';
import { memory } from './loggers/index.js';
import { type OfflineRun, trainOffline } from './offline.js';
import { openRunFolder, requireResumable } from './run-folder.js';
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

const trained = async (outFolder: string, more: Partial<OfflineRun> = {}) =>
  trainOffline({
    policy: await tinyPolicy(place('policy')),
    objective: dpo,
    examples: tinyPairs(8),
    outFolder,
    options: tinyOptions,
    ...more,
  });

it.each([
  ['model/weights.txt', '`model`'],
  ['critic/weights.txt', '`critic`'],
  ['config.json', '`config.json`'],
  ['.git/HEAD', '`.git`'],
])('a folder with %s and no run of ours is not gone on in', async (file, named) => {
  const folder = place(`foreign-${file.replaceAll('/', '-')}`);
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  writeFileSync(join(folder, file), 'mine');
  await expect(trained(folder, { resume: true })).rejects.toThrow(`only what is none of a run's own: ${named};`);
  expect(readdirSync(folder, { recursive: true })).toHaveLength(file.includes('/') ? 2 : 1);
  expect(readFileSync(join(folder, file), 'utf8')).toBe('mine');
});

it.each(['model', 'critic'])('a %s that stands there already is not overwritten by a new run', async (name) => {
  mkdirSync(place(`taken-${name}/${name}`), { recursive: true });
  await expect(trained(place(`taken-${name}`))).rejects.toMatchObject({ code: 'run-exists' });
});

it('a run that died between its critic and its model is its own', () => {
  mkdirSync(place('saving/critic'), { recursive: true });
  writeFileSync(place('saving/metrics.jsonl'), '{"step":1,"epoch":1,"loss":1}\n');
  requireResumable(place('saving'));
});

it('a log of another kind makes no run of a folder', () => {
  mkdirSync(place('logged/model'), { recursive: true });
  writeFileSync(place('logged/metrics.jsonl'), '{"loss": 1}\n');
  expect(() => requireResumable(place('logged'))).toThrow('`metrics.jsonl`, `model`');
  writeFileSync(place('logged/metrics.jsonl'), '{"step":0,"epoch":0,"eval_loss":1}\n');
  requireResumable(place('logged'));
});

it('resuming where nothing is begins, and says so', async () => {
  const log = memory();
  await trained(place('absent'), { resume: true, loggers: [log] });
  expect(log.of('warning').map(({ message }) => message)).toEqual([`no checkpoint in ${place('absent')}: beginning`]);
});

it('a run none of whose checkpoints is whole is not begun again', async () => {
  const options = { ...tinyOptions, saveEvery: 1 };
  await trained(place('spoilt'), { options });
  rmSync(place('spoilt/run.json'));
  const metrics = readFileSync(place('spoilt/metrics.jsonl'), 'utf8');
  for (const name of readdirSync(place('spoilt/checkpoints')))
    writeFileSync(join(place('spoilt/checkpoints'), name, 'loop.json'), '{');
  await expect(trained(place('spoilt'), { options, resume: true })).rejects.toThrow('no checkpoint is whole');
  expect(readFileSync(place('spoilt/metrics.jsonl'), 'utf8')).toBe(metrics);
});

it('one run at a time has a folder', async () => {
  const held = openRunFolder(place('held'));
  await expect(trained(place('held'))).rejects.toMatchObject({ code: 'run-locked' });
  await expect(trained(place('held'), { resume: true })).rejects.toMatchObject({ code: 'run-locked' });
  held.close();
  await trained(place('held'));
  expect(readdirSync(place('held')).sort()).toEqual([
    'metrics.jsonl',
    'model',
    'reference',
    'run.json',
    'timing.jsonl',
  ]);
});

it('left-overs of a dead process go, and nothing else', () => {
  mkdirSync(place('left/reference'), { recursive: true });
  for (const name of ['.run.json.partial-0123456789ab', 'reference/.train-1.partial-0123456789ab', '.hidden'])
    writeFileSync(join(place('left'), name), '');
  openRunFolder(place('left')).close();
  expect(readdirSync(place('left'), { recursive: true }).sort()).toEqual(['.hidden', 'reference']);
});

it.skipIf(!existsSync('/proc/self'))('a folder that the system refuses is an error at once', () => {
  expect(() => openRunFolder('/proc/nowhere/run')).toThrow(
    'it cannot be written: the system takes no folder there; choose another path (path `/proc/nowhere/run`, system `ENOENT`)',
  );
});
