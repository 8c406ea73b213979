import { readdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { makeFolder } from '@kelpie/policy';
import { leftover } from './files.js';

/** What a run writes before its first step. */
const early = ['metrics.jsonl', 'timing.jsonl', 'reference'];

export interface RunFolder {
  giveBack(): void;
}

/**
 * Makes the folder of a run and removes what dead processes left there. `giveBack` takes away what this run has brought
 * and leaves what was there: for a run that fails before its first step, so that the same command can be given again.
 */
export function openRunFolder(folder: string): RunFolder {
  const first = makeFolder(folder);
  removeLeftovers(folder);
  const before = new Set(entriesOf(folder));
  return {
    giveBack() {
      for (const name of early) if (!before.has(name)) rmSync(join(folder, name), { recursive: true, force: true });
      if (first === undefined) return;
      for (let at = resolve(folder); entriesOf(at).length === 0; at = dirname(at)) {
        rmdirSync(at);
        if (at === first) return;
      }
    },
  };
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
