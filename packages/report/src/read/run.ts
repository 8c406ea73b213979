import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Verdict } from '@kelpie/runner';
import { ReportError } from '../error.js';
import { isRecord, jsonRows, numberIn, stepIn } from './lines.js';
import { type RolloutSummary, readRollouts } from './rollouts.js';

/** A line of `metrics.jsonl` or `timing.jsonl`; a number that was not finite is NaN. */
export interface Line {
  readonly step: number;
  /** Of an update, or of an evaluation on held-out rows. */
  readonly kind: 'step' | 'evaluation';
  readonly values: Readonly<Record<string, number>>;
}

/** A run as its folder tells it. What it has not come to yet is absent. */
export interface Run {
  readonly folder: string;
  readonly name: string;
  readonly metrics: readonly Line[];
  readonly timing: readonly Line[];
  /** `run.json`: the run came to its end. */
  readonly finished: boolean;
  readonly early?: string;
  readonly model?: Readonly<Record<string, unknown>>;
  readonly versions?: Readonly<Record<string, unknown>>;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly verdict?: Verdict;
  readonly rollouts?: RolloutSummary;
  /** What is missing or was left out, for the reader. */
  readonly notes: readonly string[];
}

/** Reads a run's folder, whether or not the run is finished. Errors name file and line. */
export async function readRun(folder: string, { rollouts = true } = {}): Promise<Run> {
  const at = (name: string) => join(folder, name);
  if (!existsSync(at('metrics.jsonl')))
    throw new ReportError(
      `no run in \`${folder}\`: expected \`metrics.jsonl\` in it; name the folder given as \`--out\``,
    );
  const notes: string[] = [];
  const onCut = (place: string) => notes.push(`The line ${place} is cut off and left out.`);
  const metrics = await readLines(at('metrics.jsonl'), 'loss', onCut);
  const timing = existsSync(at('timing.jsonl')) ? await readLines(at('timing.jsonl'), 'seconds', onCut) : [];
  const record = existsSync(at('run.json')) ? readJson(at('run.json')) : undefined;
  const config = record?.config ?? checkpointConfig(at('checkpoints'));
  if (record === undefined) notes.push('The run has not come to its end: this is what it has written so far.');
  if (metrics.every(({ kind }) => kind === 'evaluation')) notes.push('No step has been written yet.');
  const summary =
    rollouts && existsSync(at('rollouts.jsonl')) ? await readRollouts(at('rollouts.jsonl'), onCut) : undefined;
  return {
    folder,
    name: basename(resolve(folder)),
    metrics,
    timing,
    finished: record !== undefined,
    ...(typeof record?.early === 'string' && { early: record.early }),
    ...(isRecord(record?.model) && { model: record.model }),
    ...(isRecord(record?.versions) && { versions: record.versions }),
    ...(isRecord(config) && { config }),
    ...(isRecord(record?.verdict) && { verdict: record.verdict as unknown as Verdict }),
    ...(summary && summary.count > 0 && { rollouts: summary }),
    notes,
  };
}

/** @param mark the key that a line of a step has, and one of an evaluation has not. */
async function readLines(file: string, mark: string, onCut: (place: string) => void): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const row of jsonRows(file, onCut)) {
    const names = Object.keys(row.row).filter((name) => name !== 'step' && name !== 'epoch');
    const values = Object.fromEntries(names.map((name) => [name, numberIn(row, name)]));
    lines.push({ step: stepIn(row), kind: mark in row.row ? 'step' : 'evaluation', values });
  }
  return lines;
}

function readJson(file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new ReportError(`${file}: expected JSON: ${(cause as Error).message}`, { cause });
  }
  if (isRecord(value)) return value;
  throw new ReportError(`${file}: expected an object, got ${JSON.stringify(value)}`);
}

/** What the newest checkpoint says that the run was begun with. */
function checkpointConfig(folder: string): unknown {
  if (!existsSync(folder)) return undefined;
  const names = readdirSync(folder).filter((name) => /^step-\d+$/.test(name));
  const newest = names.sort((a, b) => Number(a.slice(5)) - Number(b.slice(5))).at(-1);
  const file = newest === undefined ? undefined : join(folder, newest, 'loop.json');
  return file !== undefined && existsSync(file) ? readJson(file).config : undefined;
}
