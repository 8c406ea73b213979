import { ReportError } from '../error.js';
import { isRecord } from '../read/lines.js';
import type { Run } from '../read/run.js';

export interface SettingOptions {
  /** Keys of the config that tell settings apart. Default: all that differ, seeds and the swept one left out. */
  readonly groupBy?: readonly string[];
  /** The key whose values lie along a frontier. Default: the first of `sweeps` that differs. */
  readonly sweep?: string;
}

/** Runs of one setting and one swept value: they differ in what only repeats, as seeds do. */
export interface Cell {
  readonly sweep: string;
  readonly label: string;
  readonly runs: readonly Run[];
}

export interface Group {
  readonly label: string;
  /** By swept value, ascending. */
  readonly cells: readonly Cell[];
}

export interface Grouped {
  readonly groups: readonly Group[];
  /** What is swept, if anything. */
  readonly sweep?: string;
}

/** What is usually swept: the weight of the pull to the reference. */
const sweeps = ['options.penaltyCoef', 'objectiveOptions.beta', 'objectiveOptions.klCoef'];

/** Sorts runs by what their configs differ in. A key may be named by its end: `penalty` for `options.penalty`. */
export function grouped(runs: readonly Run[], { groupBy, sweep: asked }: SettingOptions = {}): Grouped {
  const configs = runs.map((run) => flat(run.config ?? { run: run.name }));
  const keys = [...new Set(configs.flatMap((config) => Object.keys(config)))];
  const differs = (key: string) => new Set(configs.map((config) => config[key])).size > 1;
  const sweep = asked === undefined ? sweeps.find(differs) : keyNamed(asked, keys);
  const usual = keys.filter((key) => differs(key) && !/(^|\.)seed$/.test(key));
  const by = (groupBy?.map((name) => keyNamed(name, keys)) ?? usual).filter((key) => key !== sweep);
  const groups = partition(
    runs.map((run, at) => ({ run, config: configs[at]! })),
    ({ config }) => labelOf(config, by),
  );
  return {
    groups: groups.map(([label, members]) => ({
      label: label || 'all runs',
      cells: partition(members, ({ config }) => (sweep === undefined ? '' : (config[sweep] ?? 'absent')))
        .map(([value, own]) => ({
          sweep: value,
          label: sweep === undefined ? '' : `${lastName(sweep)} ${value}`,
          runs: own.map(({ run }) => run),
        }))
        .sort((a, b) => Number(a.sweep) - Number(b.sweep)),
    })),
    ...(sweep !== undefined && { sweep: lastName(sweep) }),
  };
}

function keyNamed(name: string, keys: readonly string[]): string {
  const found = keys.filter((key) => key === name || key.endsWith(`.${name}`));
  if (found.includes(name)) return name;
  if (found.length === 1) return found[0]!;
  const several = found.length > 1 ? `; it may be ${found.map((key) => `\`${key}\``).join(', ')}` : '';
  throw new ReportError(`no key \`${name}\` in the config of these runs${several}`);
}

function labelOf(config: Readonly<Record<string, string>>, keys: readonly string[]): string {
  return keys.map((key) => (key in config ? `${lastName(key)} ${config[key]}` : `no ${lastName(key)}`)).join(', ');
}

const lastName = (key: string) => key.split('.').at(-1)!;

/** The leaves of a config as texts, by their path. */
function flat(value: unknown, path: readonly string[] = []): Record<string, string> {
  const entries = Array.isArray(value) ? value.entries() : isRecord(value) ? Object.entries(value) : undefined;
  if (entries === undefined) return { [path.join('.')]: leaf(value) };
  return Object.assign({}, ...[...entries].map(([key, inner]) => flat(inner, [...path, String(key)])));
}

function leaf(value: unknown): string {
  const text = typeof value === 'string' ? value : String(JSON.stringify(value));
  return text.length > 40 ? `${text.slice(0, 12)}…${text.slice(-12)}` : text;
}

function partition<Item>(items: readonly Item[], keyOf: (item: Item) => string): [string, Item[]][] {
  const parts = new Map<string, Item[]>();
  for (const item of items) parts.set(keyOf(item), [...(parts.get(keyOf(item)) ?? []), item]);
  return [...parts];
}
