// Trains the base model of datasets/film-reviews again, from its config and texts, and puts it in its place.
// `--check` compares instead: on the machine and with the threads it was made with, the bytes are the same.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const base = join(root, 'datasets/film-reviews/base');
const weights = join(base, 'model.safetensors');
const recipe = [
  ...['--learning-rate', '4e-3', '--schedule', 'cosine', '--warmup-steps', '30', '--weight-decay', '0.1'],
  ...['--epochs', '6', '--seed', '1', '--threads', '2'],
];
const data = ['--init', join(base, 'config.json'), '--data', join(root, 'datasets/film-reviews/texts.jsonl')];

const scratch = mkdtempSync(join(tmpdir(), 'kelpie-base-'));
try {
  const out = join(scratch, 'run');
  const kelpie = join(root, 'apps/cli/bin/kelpie.js');
  const { status } = spawnSync(process.execPath, [kelpie, 'train', 'sft', ...data, '--out', out, ...recipe], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
  const made = join(out, 'model/model.safetensors');
  const same = sha256(made) === sha256(weights);
  if (process.argv.includes('--check')) {
    console.log(
      same ? `same bytes: ${sha256(made)}` : `other bytes: ${sha256(made)}, the repository holds ${sha256(weights)}`,
    );
    process.exitCode = same ? 0 : 1;
  } else {
    copyFileSync(made, weights);
    console.log(`${same ? 'as it was' : 'wrote'} ${sha256(weights)}`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function sha256(file) {
  try {
    return createHash('sha256').update(readFileSync(file)).digest('hex');
  } catch {
    return 'nothing';
  }
}
