import { type Color, type Panel, type Point, type Series, seriesColor } from './chart/figure.js';
import type { Line } from './read/run.js';
import { bins, extent, mean, trailingMeans } from './stats.js';

/** Places that a line is drawn through at most. */
export const PLACES = 400;

/** Steps that a smoothed line sums up: those that the loop compares to warn of gaming. */
export const SMOOTHED = 10;

export const condensedNote = 'Each place is the mean of several steps, its band their lowest and highest.';

/** A metric as it is drawn: over steps, and, as dots, on held-out rows. */
export interface Drawing {
  readonly key: string;
  readonly name?: string;
  /** Makes of each number what is drawn. */
  readonly as?: (value: number) => number;
  /** Keys of the edges of its band. */
  readonly band?: readonly [string, string];
}

/** Numbers of a key, in the order of the lines that have it. */
export function pointsOf(
  lines: readonly Line[],
  { key, as = (value) => value, band }: Drawing,
  kind: Line['kind'],
): { readonly points: Point[]; readonly keys: string[] } {
  const prefixed = kind === 'evaluation' && lines.some(({ values }) => `eval_${key}` in values);
  const named = (name: string) => (prefixed ? `eval_${name}` : name);
  const own = lines.filter((line) => line.kind === kind && named(key) in line.values);
  const points = own.map(({ step, values }): Point => {
    const [low, high] = (band ?? []).map((name) => values[named(name)]);
    return { x: step, y: as(values[named(key)]!), ...(low !== undefined && high !== undefined && { low, high }) };
  });
  return { points, keys: points.length === 0 ? [] : [named(key), ...(band ?? []).map(named)] };
}

/** At most `PLACES` points: of neighbours the mean, with the lowest and the highest. */
export function condensed(points: readonly Point[]): Point[] {
  if (points.length <= PLACES) return [...points];
  return bins(points, PLACES).map((bin) => {
    const [low, high] = extent(bin.flatMap(({ y, low = y, high = y }) => [low, high])) ?? [Number.NaN, Number.NaN];
    return { x: bin.at(-1)!.x, y: mean(bin.map(({ y }) => y)), low, high };
  });
}

/** Metrics of one unit in one panel, from the colour `from` on. Held-out values are dots in the colour of their line. */
export function panelOf(
  lines: readonly Line[],
  label: string,
  drawings: readonly Drawing[],
  { from = 0 }: { readonly from?: number } = {},
): Panel {
  const series = drawings.flatMap((drawing, at) => seriesOf(lines, drawing, seriesColor(from + at)));
  const alone = drawings.length === 1;
  const listed = series.map((one): Series => {
    if (one.draw === 'line-and-dots') return { ...one, legend: alone ? 'held out' : false };
    return alone && one.name === label ? { ...one, legend: 'each step' } : one;
  });
  return { label, series: listed };
}

function seriesOf(lines: readonly Line[], drawing: Drawing, color: Color): Series[] {
  const { name = drawing.key } = drawing;
  const trained = pointsOf(lines, drawing, 'step');
  const evaluated = pointsOf(lines, drawing, 'evaluation');
  return [
    { name, draw: 'line' as const, color, points: condensed(trained.points), keys: trained.keys },
    {
      name: `${name}, held out`,
      draw: 'line-and-dots' as const,
      dashed: true,
      color,
      points: evaluated.points,
      keys: evaluated.keys,
    },
  ].filter(({ points }) => points.length > 0);
}

/** A metric with its mean over the last steps, the single steps faint. */
export function smoothedPanel(lines: readonly Line[], label: string, drawing: Drawing, color: Color): Panel {
  const { points, keys } = pointsOf(lines, drawing, 'step');
  const evaluated = pointsOf(lines, drawing, 'evaluation');
  const smooth = trailingMeans(
    points.map(({ y }) => y),
    SMOOTHED,
  );
  const smoothed = condensed(points.map(({ x }, at) => ({ x, y: smooth[at]! }))).map(({ x, y }) => ({ x, y }));
  return {
    label,
    series: [
      { name: 'each step', draw: 'line', faint: true, color, points: condensed(points), keys },
      { name: `mean of ${SMOOTHED} steps`, draw: 'line', color, points: smoothed },
      { name: 'held out', draw: 'line-and-dots', dashed: true, color, points: evaluated.points, keys: evaluated.keys },
    ].filter(({ points: some }) => some.length > 0) as Series[],
  };
}

/** Keys of all lines, in the order in which they first come; those of evaluations without `eval_`. */
export function keysOf(lines: readonly Line[]): string[] {
  const keys = new Set<string>();
  for (const { values } of lines) for (const key in values) keys.add(key.startsWith('eval_') ? key.slice(5) : key);
  return [...keys];
}

/** Where values reach far beyond most of themselves, as sums of ratios do, an axis by powers of ten. */
export function scaleOf(panel: Panel): Panel {
  const values = panel.series.flatMap(({ points }) => points.map(({ y }) => Math.abs(y))).filter(Number.isFinite);
  const middle = values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  const largest = values.at(-1) ?? 0;
  return largest > 20 && largest > 30 * middle
    ? { ...panel, label: `${panel.label}; by powers of ten`, scale: 'symlog' }
    : panel;
}
