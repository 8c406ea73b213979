// Trains a model that ships in datasets/film-reviews again and puts its files in their place. `--check` compares instead:
// on the machine and with the threads they were made with, the bytes are the same.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
export const reviews = join(root, 'datasets/film-reviews');

/** @param {{ folder: string, files: readonly string[], objective: string, argv: readonly string[] }} made */
export function rebuild({ folder, files, objective, argv }) {
  const scratch = mkdtempSync(join(tmpdir(), 'kelpie-rebuild-'));
  try {
    const out = join(scratch, 'run');
    const command = [join(root, 'apps/cli/bin/kelpie.js'), 'train', objective, ...argv, '--out', out];
    const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' });
    if (status !== 0) {
      process.exitCode = status ?? 1;
      return;
    }
    for (const file of files) settle(join(out, 'model', file), join(folder, file));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function settle(made, kept) {
  const [fresh, old] = [sha256(made), sha256(kept)];
  const same = fresh === old;
  if (!process.argv.includes('--check')) {
    mkdirSync(dirname(kept), { recursive: true });
    copyFileSync(made, kept);
    console.log(`${same ? 'as it was' : 'wrote'} ${kept}: ${fresh}`);
    return;
  }
  console.log(`${kept}: ${same ? `same bytes: ${fresh}` : `other bytes: ${fresh}, the repository holds ${old}`}`);
  if (!same) process.exitCode = 1;
}

function sha256(file) {
  try {
    return createHash('sha256').update(readFileSync(file)).digest('hex');
  } catch {
    return 'nothing';
  }
}
