import { createHash } from 'node:crypto';
import { badOption, DataError } from './error.js';

export interface SplitOptions<Example> {
  /** Share of the examples to hold out, above 0 and below 1; or `count`, their number. */
  readonly fraction?: number;
  readonly count?: number;
  /** Default 0. */
  readonly seed?: number;
  /** What two examples on different sides may not have in common. Default: the prompt, or the whole text without one. */
  readonly by?: (example: Example) => string;
}

export interface Split<Example> {
  readonly train: Example[];
  readonly heldOut: Example[];
}

function target<Example>({ fraction, count }: SplitOptions<Example>, rows: number): number {
  if ((fraction === undefined) === (count === undefined))
    throw badOption('fraction', 'given, or `count`, and not both', fraction);
  if (fraction !== undefined && !(fraction > 0 && fraction < 1))
    throw badOption('fraction', 'above 0 and below 1', fraction);
  if (count !== undefined && !(Number.isInteger(count) && count >= 1))
    throw badOption('count', 'a whole number from 1', count);
  const wanted = count ?? Math.max(1, Math.round((fraction as number) * rows));
  if (wanted < rows) return wanted;
  throw new DataError(`With ${wanted} of ${rows} rows held out, nothing is left to train on.`, {
    code: 'cannot-split',
    expected: `fewer than ${rows} rows to hold out`,
    received: String(wanted),
    remedy: rows > 1 ? `Hold out ${rows - 1} or fewer.` : 'Hold out none, or add rows.',
  });
}

/**
 * Holds examples out, whole prompts at a time, so that no prompt is on both sides. Prompts are drawn by the hash of seed
 * and prompt: the order of the rows doesn't matter, and rows that are added later leave most others on their side. Never
 * more than asked for are held out; fewer where prompts with many rows don't fit.
 */
export function split<Example extends { readonly prompt: string; readonly completion?: string }>(
  examples: readonly Example[],
  options: SplitOptions<Example>,
): Split<Example> {
  const { seed = 0, by = ({ prompt, completion }: Example) => (prompt === '' ? (completion ?? '') : prompt) } = options;
  const wanted = target(options, examples.length);
  const groups = new Map<string, number>();
  for (const example of examples) groups.set(by(example), (groups.get(by(example)) ?? 0) + 1);
  const drawn = [...groups]
    .map(([key, rows]) => ({ key, rows, rank: createHash('sha256').update(`${seed}\n${key}`).digest('hex') }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1));
  const held = new Set<string>();
  let rows = 0;
  for (const group of drawn) {
    if (rows + group.rows > wanted) continue;
    held.add(group.key);
    rows += group.rows;
  }
  if (rows === 0)
    throw new DataError(`No ${wanted} rows can be held out: every prompt has more rows than that.`, {
      code: 'cannot-split',
      expected: `a prompt with at most ${wanted} rows`,
      received: `${groups.size} prompts, the least with ${Math.min(...groups.values())} rows`,
      remedy: 'Hold out more rows.',
    });
  return {
    train: examples.filter((example) => !held.has(by(example))),
    heldOut: examples.filter((example) => held.has(by(example))),
  };
}
