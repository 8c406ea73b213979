export type ProblemCode =
  | 'unknown-objective'
  | 'unknown-option'
  | 'invalid-option'
  | 'unknown-score'
  | 'missing-score'
  | 'missing-field'
  | 'wrong-shape'
  | 'wrong-mask'
  | 'wrong-rows'
  | 'wrong-totals'
  | 'non-finite-score'
  | 'negative-weight'
  | 'non-finite-result';

export interface Where {
  readonly objective?: string;
  /** `policy.logprobs`, `perRow.rewards`, `completionMask`. */
  readonly field?: string;
  readonly option?: string;
  readonly row?: number;
  readonly token?: number;
}

/** One thing that is wrong, as data; `describe` makes its text. */
export interface Problem {
  readonly code: ProblemCode;
  readonly where: Where;
  readonly expected: string;
  readonly received: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** Everything found wrong with one call. `code`, `where`, `expected` and `received` are those of the first problem. */
export class ObjectiveError extends Error {
  override readonly name = 'ObjectiveError';
  readonly problems: readonly Problem[];
  readonly code: ProblemCode;
  readonly where: Where;
  readonly expected: string;
  readonly received: string;

  constructor(problems: readonly [Problem, ...Problem[]]) {
    super(problems.map(describe).join('\n'));
    this.problems = problems;
    const [first] = problems;
    this.code = first.code;
    this.where = first.where;
    this.expected = first.expected;
    this.received = first.received;
  }
}

/** Throws all problems at once; returns when there is none. */
export function throwIfAny(problems: readonly Problem[]): void {
  const [first, ...rest] = problems;
  if (first) throw new ObjectiveError([first, ...rest]);
}

function describe({ where, expected, received, hint }: Problem): string {
  const { objective, field, option, row, token } = where;
  const place = [
    objective && `objective \`${objective}\``,
    option && `option \`${option}\``,
    field && `\`${field}\``,
    row !== undefined && `row ${row}`,
    token !== undefined && `token ${token}`,
  ].filter(Boolean);
  return `${place.join(', ')}: expected ${expected}, got ${received}.${hint ? ` ${hint}` : ''}`;
}

/** The known names closest to a mistyped one, best first: the nearest, and those at most two edits further off. */
export function nearest(name: string, known: readonly string[], count = 3): string[] {
  const wanted = name.toLowerCase();
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(wanted, candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1));
  const limit = (ranked[0]?.distance ?? 0) + 2;
  return ranked.flatMap(({ candidate, distance }) => (distance <= limit ? [candidate] : [])).slice(0, count);
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(change, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
