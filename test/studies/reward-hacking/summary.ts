import { type ArmName, arms } from './arms.js';
import type { Place, Point, RunRecord } from './run.js';
import { penalties } from './settings.js';

/** Mean over seeds, and its standard error: deviation by n - 1 over √n, 0 of one seed. */
export interface Spread {
  readonly mean: number;
  readonly error: number;
  readonly count: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, error: count < 2 ? 0 : Math.sqrt(squares / (count - 1) / count), count };
}

export type Quantity = Exclude<keyof Point, 'step'>;
export const quantities = ['proxy', 'gold', 'kl', 'forwardKl', 'logChi2', 'length', 'entropy'] as const;

export type SpreadPoint = Readonly<Record<Quantity, Spread>>;

/** The runs of one proxy, penalty and coefficient: its seeds. */
export interface Group extends Omit<Place, 'seed'> {
  readonly runs: readonly RunRecord[];
  readonly before: SpreadPoint;
  readonly after: SpreadPoint;
  /** After less before, seed by seed. */
  readonly change: SpreadPoint;
}

/** By proxy, penalty and coefficient, in that order. */
export function groupsOf(runs: readonly RunRecord[]): Group[] {
  const groups = new Map<string, RunRecord[]>();
  for (const run of runs) {
    const key = JSON.stringify([run.arm, run.penalty, run.coefficient]);
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  const armOrder = Object.keys(arms);
  return [...groups.values()]
    .map(groupOf)
    .sort(
      (a, b) =>
        armOrder.indexOf(a.arm) - armOrder.indexOf(b.arm) ||
        penalties.indexOf(a.penalty) - penalties.indexOf(b.penalty) ||
        a.coefficient - b.coefficient,
    );
}

function groupOf(runs: RunRecord[]): Group {
  const { arm, penalty, coefficient } = runs[0]!;
  const [before, after] = [runs.map(({ evaluations }) => evaluations[0]!), runs.map(lastOf)];
  return {
    arm,
    penalty,
    coefficient,
    runs,
    before: spreads((quantity) => before.map((point) => point[quantity])),
    after: spreads((quantity) => after.map((point) => point[quantity])),
    change: spreads((quantity) => after.map((point, at) => point[quantity] - before[at]![quantity])),
  };
}

export const lastOf = ({ evaluations }: RunRecord): Point => evaluations.at(-1)!;

const spreads = (of: (quantity: Quantity) => readonly number[]): SpreadPoint =>
  Object.fromEntries(quantities.map((quantity) => [quantity, spreadOf(of(quantity))])) as Record<Quantity, Spread>;

/** Over training: means of `window` steps of each run, then over seeds. The first place is before the first update. */
export function courseOf({ runs }: Pick<Group, 'runs'>, window: number): (SpreadPoint & { readonly step: number })[] {
  const length = Math.min(...runs.map(({ steps }) => steps.length));
  const starts = Array.from({ length: Math.ceil(length / window) }, (_, at) => at * window);
  return starts.map((start) => {
    const end = Math.min(start + window, length);
    const meanOf = ({ steps }: RunRecord, quantity: Quantity) =>
      steps.slice(start, end).reduce((sum, point) => sum + point[quantity], 0) / (end - start);
    return { step: end, ...spreads((quantity) => runs.map((run) => meanOf(run, quantity))) };
  });
}

/** The proxies of which there are runs. */
export const armsOf = (groups: readonly Group[]): ArmName[] => [...new Set(groups.map(({ arm }) => arm))];

/** How the true score went: its course, in means of `window` steps and over seeds, at its highest and at its end. */
export interface Fall {
  readonly seeds: number;
  /** Seeds in which the true score on held-out prompts ended below its start. */
  readonly below: number;
  readonly best: { readonly step: number; readonly gold: Spread; readonly kl: Spread };
  readonly last: { readonly step: number; readonly gold: Spread; readonly kl: Spread };
}

export function fallOf(group: Group, window: number): Fall {
  const course = courseOf(group, window);
  const best = course.reduce((so, place) => (place.gold.mean > so.gold.mean ? place : so));
  const below = group.runs.filter((run) => lastOf(run).gold < run.evaluations[0]!.gold).length;
  return { seeds: group.runs.length, below, best, last: course.at(-1)! };
}
