import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { recoverFolder, writeFileAtomic, writeFolderAtomic } from './atomic.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kelpie-atomic-'));
});
afterEach(() => rm(folder, { recursive: true }));

const names = async (path = folder) => (await readdir(path)).sort();

/** A pid that was alive a moment ago and is not now. */
const deadPid = () => spawnSync(process.execPath, ['-e', '']).pid;

/** The name under which this machine's writers hide what they write, taken from a write in flight. */
async function temporaryName(target: string): Promise<string> {
  let name = '';
  await writeFileAtomic(target, async () => {
    name = (await readdir(folder)).find((entry) => entry.startsWith('.'))!;
  });
  await rm(target);
  return name;
}

test('a file is replaced whole, in folders that are made for it', async () => {
  const file = join(folder, 'a/b/file.txt');
  await writeFileAtomic(file, 'one');
  await writeFileAtomic(file, Buffer.from('two'));
  expect(await readFile(file, 'utf8')).toBe('two');
  await expect(
    writeFileAtomic(file, async (handle) => {
      await handle.write('thr');
      throw new Error('disk on fire');
    }),
  ).rejects.toThrow('disk on fire');
  expect(await readFile(file, 'utf8')).toBe('two');
  expect(await names(join(folder, 'a/b'))).toEqual(['file.txt']);
});

test('a folder appears whole or not at all', async () => {
  const target = join(folder, 'model');
  const fill = (text: string) => async (temporary: string) => {
    await mkdir(join(temporary, 'deep'));
    await writeFile(join(temporary, 'deep/a'), text);
    expect(await names()).not.toContain(text === 'one' ? 'model' : 'nothing');
  };
  await writeFolderAtomic(target, fill('one'));
  expect(await readFile(join(target, 'deep/a'), 'utf8')).toBe('one');
  await writeFile(join(target, 'stale'), '');
  await writeFolderAtomic(target, fill('two'));
  expect(await names(target)).toEqual(['deep']);
  expect(await readFile(join(target, 'deep/a'), 'utf8')).toBe('two');
  await expect(
    writeFolderAtomic(target, async (temporary) => {
      await writeFile(join(temporary, 'half'), '');
      throw new Error('no room');
    }),
  ).rejects.toThrow('no room');
  expect(await readFile(join(target, 'deep/a'), 'utf8')).toBe('two');
  expect(await names()).toEqual(['model']);
});

test('an empty folder of that name is taken over', async () => {
  const target = join(folder, 'model');
  await mkdir(target);
  await writeFolderAtomic(target, (temporary) => writeFile(join(temporary, 'a'), ''));
  expect(await names(target)).toEqual(['a']);
});

test('files and folders do not replace each other', async () => {
  await mkdir(join(folder, 'x'));
  await writeFile(join(folder, 'y'), '');
  await expect(writeFileAtomic(join(folder, 'x'), '')).rejects.toMatchObject({ code: 'write-target' });
  await expect(writeFolderAtomic(join(folder, 'y'), async () => {})).rejects.toMatchObject({ code: 'write-target' });
});

test('leftovers are removed if a dead process of this machine left them for this target, and only then', async () => {
  const own = await temporaryName(join(folder, 'model'));
  const withPid = (name: string, pid: number) => name.replace(/-\d+-/, `-${pid}-`);
  const dead = withPid(own, deadPid());
  const kept = [
    own,
    dead.replace('.model.', '.other.'),
    dead.replace(/-[0-9a-f]{8}([0-9a-f]{12})$/, '-00000000$1'),
    '.model.tmp-1-mine',
    '.model.tmp',
  ];
  for (const name of [dead, ...kept]) await mkdir(join(folder, name));
  await writeFolderAtomic(join(folder, 'model'), async () => {});
  expect(await names()).toEqual([...kept, 'model'].sort());
});

test('a writer that died between its two renames loses nothing', async () => {
  const target = join(folder, 'model');
  const aside = (await temporaryName(target)).replace('.tmp-', '.old-').replace(/-\d+-/, `-${deadPid()}-`);
  await writeFolderAtomic(target, (temporary) => writeFile(join(temporary, 'weights'), 'precious'));
  await rename(target, join(folder, aside));
  await recoverFolder(target);
  expect(await readFile(join(target, 'weights'), 'utf8')).toBe('precious');

  await rename(target, join(folder, aside));
  await expect(
    writeFolderAtomic(target, async () => {
      throw new Error('again');
    }),
  ).rejects.toThrow('again');
  expect(await readFile(join(target, 'weights'), 'utf8')).toBe('precious');
  expect(await names()).toEqual(['model']);
});
