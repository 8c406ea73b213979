import { closeSync, existsSync, openSync, readdirSync, readSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { KelpieError, makeFolder } from '@kelpie/policy';
import { stepsOf } from './checkpoint.js';
import { leftover } from './files.js';
import { type Lock, lock, lockName } from './lock.js';

/** What a run writes before its first step. */
const early = ['metrics.jsonl', 'timing.jsonl', 'rollouts.jsonl', 'reference', 'engine'];

/** What a run has in its folder before its first checkpoint. */
const own = new Set([...early, 'checkpoints', 'report.html', lockName]);

/** What a run saves behind its last step. */
const models = ['model', 'critic'];

export interface RunFolder {
  giveBack(): void;
  /** Lets another process have it. */
  close(): void;
}

/**
 * Makes the folder of a run, takes it for this process and removes what dead ones left there. `giveBack` takes away what this run has brought
 * and leaves what was there: for a run that fails before its first step, so that the same command can be given again.
 */
export function openRunFolder(folder: string): RunFolder {
  const first = makeFolder(folder);
  const held = lockOr(folder, () => removeEmpty(folder, first));
  removeLeftovers(folder);
  const before = new Set(entriesOf(folder));
  return {
    giveBack() {
      for (const name of early) if (!before.has(name)) rmSync(join(folder, name), { recursive: true, force: true });
      held.release();
      removeEmpty(folder, first);
    },
    close: () => held.release(),
  };
}

function lockOr(folder: string, undo: () => void): Lock {
  try {
    return lock(folder);
  } catch (error) {
    undo();
    throw error;
  }
}

/** The folder and those above it, up to the first that was made for it. */
function removeEmpty(folder: string, first: string | undefined): void {
  if (first === undefined) return;
  for (let at = resolve(folder); entriesOf(at).length === 0; at = dirname(at)) {
    rmdirSync(at);
    if (at === first) return;
  }
}

/** Refuses what a new run would overwrite. */
export function requireNew(folder: string): void {
  if (!['checkpoints', ...models, 'run.json'].some((name) => existsSync(join(folder, name)))) return;
  const message = 'the folder holds a run or a model already: resume the run, or choose another folder';
  throw new KelpieError(message, { code: 'run-exists', where: { folder } });
}

/**
 * Refuses a folder that no run has begun in: going on there would overwrite what is somebody's own. One that is absent or
 * empty will do. A model or a critic is a run's own only beside its checkpoints or its log.
 */
export function requireResumable(folder: string): void {
  if (stepsOf(join(folder, 'checkpoints')).length > 0) return;
  const logged = isLog(join(folder, 'metrics.jsonl'));
  const ours = (name: string) =>
    leftover.test(name) || ([...models, 'metrics.jsonl'].includes(name) ? logged : own.has(name));
  const others = entriesOf(folder).filter((name) => !ours(name));
  if (others.length === 0) return;
  const shown = others.slice(0, 3).map((name) => `\`${name}\``);
  const list = others.length > 3 ? `${shown.join(', ')} and ${others.length - 3} more` : shown.join(', ');
  throw new KelpieError(
    `there is no run to go on with, only what is none of a run's own: ${list}; nothing is overwritten: name another folder`,
    { code: 'no-run', where: { folder } },
  );
}

/** Whether a file is a run's log: empty yet, or its first line is of a step. */
function isLog(file: string): boolean {
  try {
    const handle = openSync(file, 'r');
    const head = Buffer.alloc(64);
    const length = readSync(handle, head);
    closeSync(handle);
    return length === 0 || /^\{"step":\d+,"epoch":/.test(head.toString('utf8', 0, length));
  } catch {
    return false;
  }
}

function removeLeftovers(folder: string): void {
  for (const place of [folder, join(folder, 'reference')])
    for (const name of entriesOf(place))
      if (leftover.test(name)) rmSync(join(place, name), { recursive: true, force: true });
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
