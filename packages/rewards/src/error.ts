import { KelpieError } from '@kelpie/policy';

/** Why one row has no reward. */
export interface RowFailure {
  /** Index into the rows that were to be judged. */
  readonly row: number;
  /** The row's own `meta.id`, if it has one. */
  readonly id?: string;
  readonly message: string;
  /** HTTP status, where a server answered. */
  readonly status?: number;
  readonly cause?: unknown;
}

export type RewardErrorCode =
  /** Rows that could not be judged: `rows` has them. */
  | 'reward-failed'
  /** Something other than one number a row came back. */
  | 'wrong-count'
  | 'bad-option'
  | 'bad-file'
  | 'unknown-label'
  | 'same-name';

interface RewardErrorFacts {
  readonly code: RewardErrorCode;
  readonly reward?: string;
  readonly rows?: readonly RowFailure[];
  readonly where?: Readonly<Record<string, string | number>>;
  readonly cause?: unknown;
}

/** Nothing is made up for a row that fails: the whole batch fails, and says which rows and why. */
export class RewardError extends KelpieError {
  override readonly name = 'RewardError';
  declare readonly code: RewardErrorCode;
  declare readonly reward?: string;
  readonly rows: readonly RowFailure[];

  constructor(message: string, { code, reward, rows = [], where, cause }: RewardErrorFacts) {
    super(message, {
      code,
      ...(where !== undefined && { where }),
      ...(cause !== undefined && { cause }),
    });
    if (reward !== undefined) this.reward = reward;
    this.rows = rows;
  }
}

const shownFailures = 10;

/** The error of some rows of a batch of `count`. */
export function rowsFailed(reward: string, rows: readonly RowFailure[], count: number): RewardError {
  const runs = runsOf(rows);
  const lines = runs.slice(0, shownFailures).map((run) => `  ${placeOf(run)}: ${run[0]!.message}`);
  if (runs.length > shownFailures) lines.push(`  and ${runs.length - shownFailures} more`);
  const cause = rows.find((row) => row.cause !== undefined)?.cause;
  return new RewardError(`reward \`${reward}\`: ${rows.length} of ${count} rows not judged:\n${lines.join('\n')}`, {
    code: 'reward-failed',
    reward,
    rows,
    ...(cause !== undefined && { cause }),
  });
}

/** Rows one after the other that failed alike, so that a batch that failed as a whole takes one line. */
function runsOf(rows: readonly RowFailure[]): RowFailure[][] {
  const runs: RowFailure[][] = [];
  for (const failure of [...rows].sort((a, b) => a.row - b.row)) {
    const last = runs.at(-1)?.at(-1);
    if (last?.message === failure.message && last.row + 1 === failure.row) runs.at(-1)!.push(failure);
    else runs.push([failure]);
  }
  return runs;
}

/** Rows in words: `row 3 (`id`)`, `rows 3 to 5`. */
export function placeOf(run: readonly Pick<RowFailure, 'row' | 'id'>[]): string {
  const [first] = run;
  const last = run.at(-1)!;
  if (run.length > 1) return `rows ${first!.row} to ${last.row}`;
  return first!.id === undefined ? `row ${first!.row}` : `row ${first!.row} (\`${first!.id}\`)`;
}

export function badOption(reward: string, option: string, expected: string, received: unknown): RewardError {
  return new RewardError(`reward \`${reward}\`, option \`${option}\`: expected ${expected}, got ${show(received)}.`, {
    code: 'bad-option',
    reward,
  });
}

/** A value in a few characters, for messages. */
export function show(value: unknown, length = 60): string {
  if (value === undefined) return 'nothing';
  const text =
    typeof value === 'string' ? JSON.stringify(value) : typeof value === 'object' ? json(value) : String(value);
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}

function json(value: object | null): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
