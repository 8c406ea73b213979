/** Facts about the place of a problem: `{ file, tensor }`, `{ file, key }`, `{ node, op }` ... */
export type Where = Readonly<Record<string, string | number>>;

export interface KelpieErrorOptions {
  /** Kebab-case and stable, for programs: `safetensors-header`, `config-unsupported`. */
  readonly code: string;
  readonly where?: Where;
  readonly cause?: unknown;
}

/**
 * An error for people (what was expected, what came, where, what to do) that keeps its facts as fields for programs.
 * `where` is also appended to the message, so that a log line alone is enough.
 */
export class KelpieError extends Error {
  readonly code: string;
  declare readonly where?: Where;

  constructor(message: string, { code, where, cause }: KelpieErrorOptions) {
    super(where === undefined ? message : `${message} (${describeWhere(where)})`, cause === undefined ? {} : { cause });
    this.name = 'KelpieError';
    this.code = code;
    if (where !== undefined) this.where = where;
  }
}

function describeWhere(where: Where): string {
  return Object.entries(where)
    .map(([key, value]) => `${key} ${typeof value === 'string' ? `\`${value}\`` : value}`)
    .join(', ');
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The valid names nearest to an unknown one, by edit distance; at most `count`. */
export function nearestNames(name: string, valid: Iterable<string>, count = 3): string[] {
  return [...valid]
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(previous[j]! + 1, current[j - 1]! + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length]!;
}

export const pullbackSpent = (): KelpieError =>
  new KelpieError('a pullback can be taken once', { code: 'pullback-spent' });
