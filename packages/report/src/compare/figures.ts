import { type Figure, type Panel, type Point, type ScaleKind, type Series, seriesColor } from '../chart/figure.js';
import { watchedNames } from '../gaming.js';
import type { Run } from '../read/run.js';
import type { BandKind } from '../stats.js';
import { numberText } from '../text.js';
import { END, endOf, endsOf, type Place, pathOf, placesOf, type SpreadPlace } from './places.js';
import { type Cell, type Group, type Grouped, grouped, type SettingOptions } from './settings.js';

export interface CompareOptions extends SettingOptions {
  /** Keys of metrics. Default: the reward and all that is watched, or what pairs are judged by. */
  readonly metrics?: readonly string[];
  /** The key of the divergence. Default `divergence/kl_exact`. */
  readonly against?: string;
  /** What bands show, over runs that differ in their seeds. Default `standard-error`. */
  readonly band?: BandKind;
  /** How the divergence's axis is divided. Default `linear`. */
  readonly scale?: Exclude<ScaleKind, 'symlog'>;
}

/** A cell with its numbers by metric. */
interface Measured extends Cell {
  readonly group: string;
  readonly by: readonly {
    readonly ends: SpreadPlace;
    readonly path: readonly SpreadPlace[];
    readonly runsEnds: readonly { x: number; y: number }[];
  }[];
}

export interface Comparison {
  readonly figures: readonly Figure[];
  readonly metrics: readonly string[];
  readonly against: string;
  readonly grouped: Grouped;
}

const bandNotes = {
  'standard-error': 'Bands and bars: mean ± one standard error over runs.',
  'min-max': 'Bands and bars: lowest to highest run.',
} as const;

/**
 * Frontiers and paths of metrics against a divergence. A frontier has a place for each value that is swept: the mean over runs of
 * where they ended. A path has what the runs went through, averaged step by step.
 */
export function compareFigures(runs: readonly Run[], options: CompareOptions = {}): Comparison {
  const {
    against = 'divergence/kl_exact',
    band = 'standard-error',
    scale = 'linear',
    metrics = usualMetrics(runs),
  } = options;
  const sorted = grouped(runs, options);
  const measured = sorted.groups.map((group) =>
    group.cells.map((cell) => measure(group, cell, { metrics, against, band })),
  );
  const x = { label: divergenceText(against), scale };
  const ends = `A run's end: its last evaluation, or the mean of its last ${END} steps.`;
  const frontier: Figure = {
    name: 'frontier',
    title: sorted.sweep === undefined ? 'Where runs ended' : `Frontier over ${sorted.sweep}`,
    wide: true,
    x,
    panels: metrics.map((metric, at) => frontierPanel(metric, at, sorted.groups, measured)),
    notes: [bandNotes[band], ends, 'Pale dots: single runs.'],
    table: frontierTable(measured.flat(), { metrics, x: x.label, ...(sorted.sweep && { sweep: sorted.sweep }) }),
  };
  const paths = sorted.groups.map((group, at) =>
    pathFigure(group, measured[at]!, {
      metrics,
      x: { ...x, ...span(measured.flat(), 'x') },
      all: measured.flat(),
      band,
      index: at,
    }),
  );
  return { figures: [frontier, ...paths], metrics, against, grouped: sorted };
}

function measure(
  { label }: Group,
  cell: Cell,
  {
    metrics,
    against,
    band,
  }: { readonly metrics: readonly string[]; readonly against: string; readonly band: BandKind },
): Measured {
  const by = metrics.map((metric) => {
    const places: Place[][] = cell.runs.map((run) => placesOf(run, metric, against));
    return { ends: endsOf(places, band), path: pathOf(places, band), runsEnds: places.map(endOf) };
  });
  return { ...cell, group: label, by };
}

function frontierPanel(
  metric: string,
  at: number,
  groups: readonly Group[],
  measured: readonly (readonly Measured[])[],
): Panel {
  const series = groups.flatMap(({ label }, index): Series[] => {
    const color = seriesColor(index);
    const cells = measured[index]!;
    const single = cells.flatMap(({ by, runs, label: value }) =>
      by[at]!.runsEnds.map(
        ({ x, y }, run): Point => ({
          x,
          y,
          label: `${runs[run]!.name}${value && `, ${value}`}: ${numberText(y)} at ${numberText(x)}`,
        }),
      ),
    );
    const means = cells.map(({ by, label: value }) => pointOf(by[at]!.ends, [label, value].filter(Boolean).join(', ')));
    return [
      { name: `${label}, single runs`, draw: 'dots', faint: true, legend: false, color, points: single },
      { name: label, draw: 'line-and-dots', color, points: means },
    ];
  });
  return { label: metricText(metric), series, ...(at > 0 && { legend: false as const }) };
}

interface PathOptions {
  readonly metrics: readonly string[];
  readonly x: Figure['x'];
  readonly all: readonly Measured[];
  readonly band: BandKind;
  readonly index: number;
}

/** All groups on the same axes. */
function pathFigure(
  { label }: Group,
  cells: readonly Measured[],
  { metrics, x, all, band, index }: PathOptions,
): Figure {
  const panels = metrics.map((metric, at): Panel => {
    const series = cells.map(({ by, label: value, runs }, cell): Series => {
      const name = value || (runs.length === 1 ? runs[0]!.name : `mean of ${runs.length} runs`);
      return { name, draw: 'line', color: seriesColor(cell), points: by[at]!.path.map((place) => bandOf(place)) };
    });
    return { label: metricText(metric), series, ...span(all, 'y', at), ...(at > 0 && { legend: false as const }) };
  });
  const rows = cells.flatMap(({ by, label: value }) =>
    by[0]!.path.map(({ x: at }, place) => [
      value || label,
      numberText(at.mean),
      ...by.flatMap(({ path }) => rangeTexts(path[place]!.y)),
    ]),
  );
  const columns = ['runs', x.label, ...metrics.flatMap((metric) => [metricText(metric), 'band'])];
  return {
    name: `path-${index + 1}`,
    title: `On the way: ${label}`,
    wide: true,
    x,
    panels,
    notes: [bandNotes[band], 'Steps that all runs of a line have, several averaged into each place.'],
    table: { columns, rows },
  };
}

function frontierTable(
  cells: readonly Measured[],
  { metrics, x, sweep }: { readonly metrics: readonly string[]; readonly x: string; readonly sweep?: string },
) {
  const columns = [
    'setting',
    ...(sweep ? [sweep] : []),
    'runs',
    x,
    'band',
    ...metrics.flatMap((metric) => [metricText(metric), 'band', 'highest on the way', `at ${x}`]),
  ];
  const rows = cells.map(({ group, sweep: value, runs, by }) => [
    group,
    ...(sweep ? [value] : []),
    String(runs.length),
    ...rangeTexts(by[0]!.ends.x),
    ...by.flatMap(({ ends, path }) => {
      const peak = path.reduce((best, place) => (place.y.mean > best.y.mean ? place : best), path[0]!);
      return [...rangeTexts(ends.y), numberText(peak.y.mean), numberText(peak.x.mean)];
    }),
  ]);
  return { columns, rows };
}

/** Of a single run there is no spread to show. */
function rangeTexts({ mean, low, high, count }: SpreadPlace['y']): string[] {
  return [numberText(mean), count < 2 ? '–' : `${numberText(low)} to ${numberText(high)}`];
}

function pointOf(place: SpreadPlace, name: string): Point {
  const { x, y } = place;
  const bars = x.count < 2 ? {} : { lowX: x.low, highX: x.high };
  return {
    ...bandOf(place),
    ...bars,
    label: `${name}: ${numberText(y.mean)} at ${numberText(x.mean)}, ${y.count} runs`,
  };
}

function bandOf({ x, y }: SpreadPlace): Point {
  return { x: x.mean, y: y.mean, ...(y.count > 1 && { low: y.low, high: y.high }) };
}

/** What an axis has to take in so that paths of all groups can be compared. */
function span(cells: readonly Measured[], axis: 'x' | 'y', at?: number): { readonly include: readonly number[] } {
  const paths = cells.flatMap(({ by }) => (at === undefined ? by : [by[at]!]).flatMap(({ path }) => path));
  return { include: paths.flatMap((place) => (axis === 'x' ? [place.x.mean] : [place.y.low, place.y.high])) };
}

/** The reward and what is watched, or what pairs are judged by: those that all runs have. */
function usualMetrics(runs: readonly Run[]): string[] {
  const has = ({ metrics }: Run, key: string) => metrics.some(({ values }) => key in values);
  const watched = watchedNames(runs[0]?.metrics ?? []).map((name) => `watched/${name}/mean`);
  const online = ['reward', ...watched].filter((key) => runs.every((run) => has(run, key)));
  return online.length > 0 ? online : ['eval_rewards/margins', 'eval_rewards/accuracies'];
}

function metricText(key: string): string {
  if (/^(eval_)?reward$/.test(key)) return key === 'reward' ? 'reward (optimised)' : 'held-out reward (optimised)';
  const [, held, name] = /^(eval_)?watched\/(.*)\/mean$/.exec(key) ?? [];
  return name === undefined ? key : `${held ? 'held-out ' : ''}${name} (watched)`;
}

function divergenceText(key: string): string {
  return key === 'divergence/kl_exact' ? 'KL(policy ‖ reference), nats a completion' : key;
}
