import type { Line } from './read/run.js';
import { deviation, mean } from './stats.js';

/** Steps during which a watched reward had fallen while the optimised one had risen. */
export interface GamedSpan {
  readonly watched: string;
  readonly from: number;
  readonly to: number;
}

const WINDOW = 10;

/**
 * Where a run warned that it may be gaming its reward: between its first 10 steps and the 10 up to a step, the mean reward rose
 * and that of a watched one fell, each by more than two standard errors of the difference. The rule of the loop, taken from
 * the same numbers.
 */
export function gamedSpans(lines: readonly Line[]): GamedSpan[] {
  const steps = lines.filter(({ kind, values }) => kind === 'step' && values.reward !== undefined);
  const rises = changes(steps.map(({ values }) => values.reward!)).map((change) => change > 2);
  return watchedNames(steps).flatMap((watched) => {
    const falls = changes(steps.map(({ values }) => values[`watched/${watched}/mean`] ?? Number.NaN));
    return spans(falls.map((change, at) => rises[at]! && change < -2)).map(([from, to]) => ({
      watched,
      from: steps[from]!.step,
      to: steps[to]!.step,
    }));
  });
}

/** Names of the rewards that are watched. */
export function watchedNames(lines: readonly Line[]): string[] {
  const names = lines.flatMap(({ values }) =>
    Object.keys(values).flatMap((key) => /^(?:eval_)?watched\/(.*)\/mean$/.exec(key)?.[1] ?? []),
  );
  return [...new Set(names)];
}

/** At each step the change from the first window to the last, in its standard errors; 0 before there are two windows. */
function changes(values: readonly number[]): number[] {
  const before = values.slice(0, WINDOW);
  return values.map((_, at) => {
    if (at + 1 < 2 * WINDOW) return 0;
    const after = values.slice(at + 1 - WINDOW, at + 1);
    const error = Math.sqrt((deviation(before) ** 2 + deviation(after) ** 2) / WINDOW);
    return (mean(after) - mean(before)) / Math.max(error, Number.MIN_VALUE);
  });
}

/** First and last place of each run of what is so. */
function spans(flags: readonly boolean[]): [number, number][] {
  const found: [number, number][] = [];
  flags.forEach((flag, at) => {
    if (!flag) return;
    const open = found.at(-1);
    if (open !== undefined && open[1] === at - 1) open[1] = at;
    else found.push([at, at]);
  });
  return found;
}
