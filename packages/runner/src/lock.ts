import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { KelpieError, writeError } from '@kelpie/policy';
import { besides } from './files.js';

/** The file by which a process has a run's folder to itself. */
export const lockName = 'run.lock';

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process began, as the system counts it: process numbers come again. Absent where nothing tells. */
  readonly began?: string;
}

export interface Lock {
  release(): void;
}

/** Takes the folder for this process; refused while a process that lives has it. What a dead one left is taken over. */
export function lock(folder: string): Lock {
  const file = join(folder, lockName);
  const text = `${JSON.stringify(ownHolder())}\n`;
  for (let tries = 0; !create(file, text); tries++) {
    requireUnlocked(folder);
    if (tries > 100) throw held(folder, undefined);
    takeAway(file);
  }
  return {
    release() {
      if (read(file) === text) rmSync(file, { force: true });
    },
  };
}

/** Refuses a folder that a living process has. */
export function requireUnlocked(folder: string): void {
  const text = read(join(folder, lockName));
  const holder = text === undefined ? undefined : holderIn(text);
  if (holder !== undefined && isAlive(holder)) throw held(folder, holder);
}

function held(folder: string, holder: Holder | undefined): KelpieError {
  const { pid, host } = holder ?? {};
  const elsewhere = host !== undefined && host !== hostname();
  const whose = pid === undefined ? 'another process' : `process ${pid}${elsewhere ? ` of ${host}` : ''}`;
  const advice = elsewhere ? `; if it has ended, remove ${lockName}` : '';
  const message = `${whose} is running in this folder: wait for it, or choose another folder${advice}`;
  return new KelpieError(message, { code: 'run-locked', where: { folder, ...(pid === undefined ? {} : { pid }) } });
}

/** The file with all its content at once, if there is none: a link is made whole or not at all. */
function create(file: string, text: string): boolean {
  const temporary = besides(file);
  try {
    writeFileSync(temporary, text, { flag: 'wx' });
    linkSync(temporary, file);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // Some file systems have no links.
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'ENOSYS')
      return createAlone(file, text);
    throw writeError(file, error);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function createAlone(file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw writeError(file, error);
  }
}

/** By another name first: of two processes that find a dead one's file, one moves it, and the other begins again. */
function takeAway(file: string): void {
  const aside = besides(file);
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw writeError(file, error);
  }
  rmSync(aside, { force: true });
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function holderIn(text: string): Holder | undefined {
  try {
    const { pid, host, began } = JSON.parse(text) as Partial<Holder>;
    if (typeof pid !== 'number' || typeof host !== 'string') return undefined;
    return { pid, host, ...(typeof began === 'string' && { began }) };
  } catch {
    return undefined;
  }
}

function ownHolder(): Holder {
  const began = beganAt(process.pid);
  return { pid: process.pid, host: hostname(), ...(began !== undefined && { began }) };
}

/** Of another machine nothing can be known, so it counts as alive. */
function isAlive({ pid, host, began }: Holder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return began === undefined || began === beganAt(pid);
}

/** Boot and start time of a process, where the system shows them; nothing of one that has ended and is not yet cleared. */
function beganAt(pid: number): string | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // Behind the command in brackets, which may hold anything: the state, and twenty fields on the start.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  return `${read('/proc/sys/kernel/random/boot_id')?.trim() ?? ''} ${fields[19]}`;
}
