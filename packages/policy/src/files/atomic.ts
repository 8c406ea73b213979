import { createHash, randomBytes } from 'node:crypto';
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { KelpieError } from '../errors.js';
import { makeFolder, writeError } from './system-errors.js';

/**
 * Whole or not at all. New content is written into a hidden sibling, `.<name>.tmp-<pid>-<host><random>`, flushed to disk
 * and renamed over the target. Siblings that a dead process of this machine left behind are removed by the next writer
 * of the same target; nothing without exactly that name is touched, nor what another machine may still be writing into
 * a shared folder.
 */
export type FileContent = string | Uint8Array | ((handle: FileHandle) => Promise<void>);

/** Writes a file whole or not at all, replacing what is there. A function streams the content into the handle. */
export async function writeFileAtomic(path: string, content: FileContent): Promise<void> {
  const target = resolve(path);
  await refuseIf(target, 'folder');
  makeFolder(dirname(target));
  await removeLeftovers(target);
  const temporary = siblingName(target, 'tmp');
  try {
    const handle = await open(temporary, 'wx');
    try {
      if (typeof content === 'function') await content(handle);
      else await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw writeError(target, error);
  }
  await syncFolder(dirname(target));
}

/**
 * Fills a folder whole or not at all: `fill` writes into a temporary folder beside `folder`, which takes its place when
 * `fill` has resolved and every file is on disk. If `fill` throws, `folder` stays as it was.
 *
 * No portable call swaps two folders, so a folder that is not empty is first renamed to `.<name>.old-...`, then the new
 * one is renamed into place, then the old one is removed. A machine that dies between the two renames leaves no
 * `folder`, but the old one whole; `recoverFolder`, called here first and to be called before reading, puts it back.
 */
export async function writeFolderAtomic(
  folder: string,
  fill: (temporaryFolder: string) => Promise<void>,
): Promise<void> {
  const target = resolve(folder);
  await refuseIf(target, 'file');
  makeFolder(dirname(target));
  await recoverFolder(target);
  await removeLeftovers(target);
  const temporary = siblingName(target, 'tmp');
  try {
    await mkdir(temporary);
    await fill(temporary);
    await syncTree(temporary);
    await replaceFolder(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw writeError(target, error);
  }
}

/** Puts back the old folder if a dead writer had moved it aside and not yet put the new one into its place. */
export async function recoverFolder(folder: string): Promise<void> {
  const target = resolve(folder);
  if ((await kindOf(target)) !== undefined) return;
  const [aside] = (await leftovers(target, 'old')).sort();
  if (aside === undefined) return;
  await rename(aside, target);
  await syncFolder(dirname(target));
}

async function replaceFolder(temporary: string, target: string): Promise<void> {
  let aside: string | undefined;
  // Twice more if another writer puts its folder there between the two renames: the last one stays, both are whole.
  for (let attempt = 0; ; attempt++) {
    if ((await kindOf(target)) !== undefined) {
      aside = siblingName(target, 'old');
      await rename(target, aside);
    }
    try {
      await rename(temporary, target);
      break;
    } catch (error) {
      if (attempt < 2 && (await kindOf(target)) !== undefined) continue;
      if (aside !== undefined && (await kindOf(target)) === undefined) await rename(aside, target);
      throw error;
    }
  }
  await syncFolder(dirname(target));
  if (aside !== undefined) await rm(aside, { recursive: true, force: true });
}

type SiblingKind = 'tmp' | 'old';

const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

function siblingName(target: string, kind: SiblingKind): string {
  return join(dirname(target), `.${basename(target)}.${kind}-${process.pid}-${host}${randomBytes(6).toString('hex')}`);
}

async function leftovers(target: string, kind: SiblingKind): Promise<string[]> {
  const prefix = `.${basename(target)}.${kind}-`;
  const names = await readdir(dirname(target)).catch(() => [] as string[]);
  return names
    .filter((name) => {
      if (!name.startsWith(prefix)) return false;
      const match = /^(\d+)-([0-9a-f]{8})[0-9a-f]{12}$/.exec(name.slice(prefix.length));
      return match !== null && match[2] === host && !isAlive(Number(match[1]));
    })
    .map((name) => join(dirname(target), name));
}

async function removeLeftovers(target: string): Promise<void> {
  for (const kind of ['tmp', 'old'] as const) {
    for (const path of await leftovers(target, kind)) await rm(path, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

async function kindOf(path: string): Promise<'file' | 'folder' | undefined> {
  try {
    return (await lstat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function refuseIf(target: string, kind: 'file' | 'folder'): Promise<void> {
  if ((await kindOf(target)) !== kind) return;
  const wanted = kind === 'file' ? 'a folder' : 'a file';
  throw new KelpieError(`${wanted} was to be written, but a ${kind} of that name exists: choose another name`, {
    code: 'write-target',
    where: { path: target },
  });
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) {
      const handle = await open(path, 'r+');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
  }
  await syncFolder(folder);
}

/** Makes renames durable where the system lets a folder be opened; Windows does not, and needs it less. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
