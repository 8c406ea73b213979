import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runForJson } from './processes.js';
import type { Slices } from './slices.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** A file of the shared folder. */
export function shared(path: string): string {
  return resolve(repository, process.env.KELPIE_SHARED ?? '../shared', path);
}

/** The interpreter that has the peers, or why there is none. */
export function peerPython(): { readonly python: string } | { readonly missing: string } {
  const python = process.env.KELPIE_PEER_PYTHON;
  if (python === undefined || python === '')
    return { missing: 'KELPIE_PEER_PYTHON names no Python: no peer is measured' };
  if (!existsSync(python)) return { missing: 'KELPIE_PEER_PYTHON names no file: no peer is measured' };
  if (!existsSync(shared('bench')))
    return { missing: 'the peer scripts are not there (KELPIE_SHARED): no peer is measured' };
  return { python };
}

/** One JSON line of a script of the shared folder's `bench`. */
export function runPeer<T>(
  python: string,
  script: string,
  args: readonly (string | number)[],
  slices?: Slices,
): Promise<T> {
  return runForJson<T>(python, [shared(`bench/${script}`), ...args.map(String)], slices && { slices });
}
