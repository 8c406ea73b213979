import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { KelpieError } from '../errors.js';

/** What the system's codes mean for someone who wanted to write. */
const meanings: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space, or choose another folder',
  EDQUOT: 'the disk quota is used up; free some space, or choose another folder',
  EFBIG: 'the file would be larger than the system allows here',
  EROFS: 'the file system is read-only; choose another folder',
  EACCES: 'the system does not permit it; choose another folder',
  EPERM: 'the system does not permit it; choose another folder',
  ENOTDIR: 'a file stands where a folder is needed; choose another path',
  ENOENT: 'the system takes no folder there; choose another path',
  ENAMETOOLONG: 'the name is too long',
};

const code = 'cannot-write';

/**
 * A refusal of the system, as an error that names the path; anything else as it is. What was refused inside a temporary
 * folder is told of the folder that was to be written.
 */
export function writeError(path: string, error: unknown): unknown {
  const { syscall, code: found, where } = error as NodeJS.ErrnoException & { where?: { system?: unknown } };
  const system = found === code ? String(where?.system) : syscall === undefined ? undefined : found;
  if (system === undefined) return error;
  const meaning = meanings[system] ?? 'the system refuses it';
  return new KelpieError(`it cannot be written: ${meaning}`, { code, where: { path, system }, cause: error });
}

/**
 * Makes a folder and its parents, and returns the first that was made. (Node's own recursive `mkdir` never returns where
 * a parent exists that takes no folders, as in `/proc/run`.)
 */
export function makeFolder(folder: string): string | undefined {
  const missing: string[] = [];
  for (let at = resolve(folder); !existsSync(at) && at !== dirname(at); at = dirname(at)) missing.unshift(at);
  try {
    for (const at of missing) makeOne(at);
    if (!statSync(folder).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR', syscall: 'mkdir' });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw writeError(folder, error);
  }
  return missing[0];
}

/** One that someone else has just made will do. */
function makeOne(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
