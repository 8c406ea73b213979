import { ReportError } from '../error.js';
import type { Line, Run } from '../read/run.js';
import { keysOf } from '../series.js';
import { type BandKind, bins, mean, type Spread, spreadOf } from '../stats.js';

/** A metric and a divergence of one line. */
export interface Place {
  readonly step: number;
  readonly kind: Line['kind'];
  readonly x: number;
  readonly y: number;
}

/** Both numbers with what repeated runs say of them. */
export interface SpreadPlace {
  readonly x: Spread;
  readonly y: Spread;
}

/** Steps whose mean is the end of a run. */
export const END = 10;

/** Places of a path at most, and steps that each is the mean of at least. */
const PATH = 40;
const TOGETHER = 5;

/** Lines that have both numbers. Throws for a run that has none. */
export function placesOf({ metrics, folder }: Run, metric: string, against: string): Place[] {
  const places = metrics.flatMap(({ step, kind, values }): Place[] => {
    const [x, y] = [values[against], values[metric]];
    return x === undefined || y === undefined || !Number.isFinite(x + y) ? [] : [{ step, kind, x, y }];
  });
  if (places.length > 0) return places;
  const known = keysOf(metrics).map((key) => `\`${key}\``);
  throw new ReportError(
    `${folder}/metrics.jsonl: no line has both \`${metric}\` and \`${against}\`; there are ${known.join(', ') || 'no metrics'}`,
  );
}

/** Where a run came to: its last evaluation, or the mean of its last 10 steps. */
export function endOf(places: readonly Place[]): { readonly x: number; readonly y: number } {
  const last = places.at(-1)!;
  const own = last.kind === 'evaluation' ? [last] : places.filter(({ kind }) => kind === 'step').slice(-END);
  return { x: mean(own.map(({ x }) => x)), y: mean(own.map(({ y }) => y)) };
}

/** The ends of repeated runs together. */
export function endsOf(runs: readonly (readonly Place[])[], band: BandKind): SpreadPlace {
  const ends = runs.map(endOf);
  const over = (of: 'x' | 'y') =>
    spreadOf(
      ends.map((end) => end[of]),
      band,
    );
  return { x: over('x'), y: over('y') };
}

/**
 * The way of repeated runs, step by step: steps that all of them have, in parts of at least 5, at most 40 of them (an evaluation is a part of its own); of each part the mean of each run,
 * and over runs the mean with its band.
 */
export function pathOf(runs: readonly (readonly Place[])[], band: BandKind): SpreadPlace[] {
  const tables = runs.map((places) => new Map(places.map((place) => [place.step, place])));
  const steps = [...tables[0]!.keys()].filter((step) => tables.every((table) => table.has(step)));
  const evaluations = runs[0]!.every(({ kind }) => kind === 'evaluation');
  const parts = evaluations ? steps.length : Math.ceil(steps.length / TOGETHER);
  return bins(steps, Math.min(PATH, parts)).map((bin) => {
    const over = (of: 'x' | 'y') =>
      spreadOf(
        tables.map((table) => mean(bin.map((step) => table.get(step)![of]))),
        band,
      );
    return { x: over('x'), y: over('y') };
  });
}
