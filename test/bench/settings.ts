import { cpus } from 'node:os';
import { parseArgs } from 'node:util';

export interface Settings {
  readonly rounds: number;
  readonly threads: number;
  /** Writes the report into docs/benchmarks.md. */
  readonly write: boolean;
  /** Takes ONNX Runtime's own profile as well. */
  readonly profile: boolean;
  /** The bench's own options, by name. */
  readonly own: Readonly<Record<string, string>>;
}

/** Options that every bench has; further ones by their defaults. */
export function readSettings(args: readonly string[], defaults: Readonly<Record<string, string>>): Settings {
  const own = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [name, { type: 'string' as const, default: value }]),
  );
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '3' },
      threads: { type: 'string', default: String(cpus().length) },
      write: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      ...own,
    },
  });
  const given = values as Readonly<Record<string, string | boolean>>;
  const rounds = count('rounds', String(given.rounds));
  if (given.write === true && rounds < 3) throw new Error('--write wants at least 3 rounds');
  return {
    rounds,
    threads: count('threads', String(given.threads)),
    write: given.write === true,
    profile: given.profile === true,
    own: Object.fromEntries(Object.keys(defaults).map((name) => [name, String(given[name])])),
  };
}

export function count(name: string, text: string | undefined): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name}: expected a whole number from 1, got ${text}`);
  return value;
}

export const counts = (name: string, text: string | undefined): number[] =>
  (text ?? '').split(',').map((part) => count(name, part));
