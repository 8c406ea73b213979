import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Row = Readonly<Record<string, unknown>>;

export interface FolderContent {
  readonly metrics?: readonly Row[];
  readonly timing?: readonly Row[];
  readonly rollouts?: readonly Row[];
  /** `run.json`; a run without it is not finished. */
  readonly record?: Row;
}

const root = mkdtempSync(join(tmpdir(), 'kelpie-report-'));

/** A run's folder as the loop writes it. */
export function folderOf(name: string, { metrics, timing, rollouts, record }: FolderContent): string {
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  const write = (file: string, rows: readonly Row[] | undefined) => {
    if (rows !== undefined) writeFileSync(join(folder, file), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  };
  write('metrics.jsonl', metrics);
  write('timing.jsonl', timing);
  write('rollouts.jsonl', rollouts);
  if (record !== undefined) writeFileSync(join(folder, 'run.json'), JSON.stringify(record, null, 2));
  return folder;
}

/** A line of a step of an online run. */
export function stepRow(step: number, values: Row = {}): Row {
  const usual = {
    loss: 0.1 / step,
    grad_norm: 1,
    learning_rate: 1e-4,
    reward: 0.1 * step,
    'divergence/kl_exact': step,
  };
  return { step, epoch: step / 10, ...usual, ...values };
}

export function rolloutRow(step: number, values: Row = {}): Row {
  const texts = { promptId: 'p', prompt: `prompt of ${step}`, completion: `completion of ${step}` };
  const numbers = { ids: [1], ended: true, logprobs: [0], reward: step, penalty: 0, advantage: 0 };
  return { step, ...texts, ...numbers, rewards: { length: step }, watched: {}, ...values };
}

export const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);
