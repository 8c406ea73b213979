import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder, writeError } from '@kelpie/policy';

export { messageOf } from '@kelpie/policy';

/** Writes a file whole or not at all. */
export async function writeWhole(file: string, content: string | Uint8Array): Promise<void> {
  makeFolder(dirname(file));
  const temporary = besides(file);
  try {
    const handle = await open(temporary, 'wx');
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw writeError(file, error);
  }
}

/** Fills a new folder whole or not at all; one of that name is replaced. What `fill` writes, it flushes itself. */
export async function writeFolderWhole(folder: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = besides(folder);
  makeFolder(dirname(folder));
  try {
    await mkdir(temporary);
    await fill(temporary);
    await removeFolderWhole(folder);
    await rename(temporary, folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw writeError(folder, error);
  }
}

/** Takes the folder's name away before its files: no folder of that name is ever seen without some of them. */
export async function removeFolderWhole(folder: string): Promise<void> {
  const aside = besides(folder);
  try {
    await rename(folder, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await rm(aside, { recursive: true });
}

/** Names of this form are left-overs of a process that died. */
export const leftover = /^\..*\.partial-[0-9a-f]{12}$/;

/** A hidden name beside a path, for what is not whole. */
export function besides(path: string): string {
  return join(dirname(path), `.${basename(path)}.partial-${randomBytes(6).toString('hex')}`);
}

export async function hashFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

export function hashOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** JSON with sorted keys: equal values have equal texts. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}
