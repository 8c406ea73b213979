import { KelpieError } from '@kelpie/policy';

/** Where a row stands: `line` and `column` count from 1. In a `.json` file, `line` is the line the row begins on. */
export type Where = {
  readonly file: string;
  readonly line: number;
  readonly column?: number;
};

/** Why a row is not used. The report counts rows under these names. */
export type Reason =
  | 'not-utf8'
  | 'not-json'
  | 'not-an-object'
  | 'missing-field'
  | 'wrong-type'
  | 'empty-completion'
  | 'same-completions'
  | 'same-tokens'
  | 'no-shared-prompt'
  | 'template-refused'
  | 'template-mismatch'
  | 'not-encodable'
  | 'too-long'
  | 'prompt-fills-length'
  | 'completion-too-long'
  | 'same-after-truncation';

/** What is wrong with one row, as data; `problemText` makes the sentence. */
export interface Problem {
  readonly code: Reason;
  readonly where: Where;
  readonly field?: string;
  readonly expected: string;
  readonly received: string;
}

export type DataErrorCode =
  | 'bad-rows'
  | 'no-rows'
  | 'unreadable-file'
  | 'unknown-file-type'
  | 'unknown-format'
  | 'ambiguous-format'
  | 'no-chat-template'
  | 'id-outside-vocabulary'
  | 'bad-option'
  | 'row-over-budget'
  | 'cannot-split'
  | 'cannot-mismatch';

interface DataErrorFacts {
  readonly code: DataErrorCode;
  readonly expected: string;
  readonly received: string;
  /** What to do about it, one sentence. */
  readonly remedy: string;
  readonly where?: Where;
  readonly problems?: readonly Problem[];
  readonly cause?: unknown;
}

/** The message names the place itself, so `where` is only a field here. */
export class DataError extends KelpieError {
  override readonly name = 'DataError';
  declare readonly code: DataErrorCode;
  declare readonly where?: Where;
  readonly expected: string;
  readonly received: string;
  /** Every bad row, also those the message leaves out. */
  readonly problems: readonly Problem[];

  constructor(message: string, { code, where, expected, received, remedy, problems = [], cause }: DataErrorFacts) {
    super(`${message}\n${remedy}`, cause === undefined ? { code } : { code, cause });
    if (where !== undefined) this.where = where;
    this.expected = expected;
    this.received = received;
    this.problems = problems;
  }
}

export function placeText({ file, line, column }: Where): string {
  return column === undefined ? `${file}:${line}` : `${file}:${line}:${column}`;
}

export function problemText({ where, field, expected, received }: Problem): string {
  const of = field === undefined ? '' : ` \`${field}\``;
  return `${placeText(where)}${of}: expected ${expected}, received ${received}`;
}

const shownProblems = 20;

/** The first 20 in words, the others as a number. */
export function problemLines(problems: readonly Problem[]): string {
  const lines = problems.slice(0, shownProblems).map((problem) => `  ${problemText(problem)}`);
  const rest = problems.length - lines.length;
  return [...lines, ...(rest > 0 ? [`  and ${rest} more`] : [])].join('\n');
}

/** All bad rows of a load in one error. */
export function badRows(problems: readonly Problem[], rows: number): DataError {
  const bad = new Set(problems.map(({ where }) => `${where.file}:${where.line}`)).size;
  const first = problems[0];
  return new DataError(`${bad} of ${rows} rows cannot be used:\n${problemLines(problems)}`, {
    code: 'bad-rows',
    expected: first?.expected ?? '',
    received: first?.received ?? '',
    remedy: "Mend these rows, or leave them out with `onBadRow: 'drop'`, which counts them by reason.",
    problems,
    ...(first === undefined ? {} : { where: first.where }),
  });
}

/** An option outside what it may be. */
export function badOption(name: string, expected: string, received: unknown): DataError {
  const shown = show(received);
  return new DataError(`\`${name}\` must be ${expected}, but is ${shown}.`, {
    code: 'bad-option',
    expected,
    received: shown,
    remedy: `Pass \`${name}\` as ${expected}.`,
  });
}

/** A value in a few characters, for messages. */
export function show(value: unknown, length = 40): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) {
    const keys = Object.keys(value);
    return keys.length === 0 ? 'an empty object' : `an object with ${keys.map((key) => `\`${key}\``).join(', ')}`;
  }
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}
