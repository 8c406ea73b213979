import { type Figure, withoutEmpty } from './chart/figure.js';
import * as files from './figures/index.js';
import type { Run } from './read/run.js';
import { type RunFigure, steps } from './run-figure.js';
import { condensedNote, keysOf, PLACES, panelOf, scaleOf } from './series.js';

export interface RunFigures {
  readonly main: readonly Figure[];
  /** A figure for each metric that no other figure has drawn. */
  readonly further: readonly Figure[];
}

/** All figures that a run has numbers for, in their order on the page. Every metric is in one of them. */
export function runFigures(run: Run): RunFigures {
  const ordered = (Object.values(files) as RunFigure[]).sort((a, b) => a.order - b.order);
  const main = ordered.flatMap((file) => noted(withoutEmpty(file.draw(run))) ?? []);
  const drawn = new Set(
    main.flatMap(({ panels }) => panels.flatMap(({ series }) => series.flatMap(({ keys = [] }) => keys))),
  );
  const isDrawn = (key: string) => [key, `eval_${key}`].every((name) => drawn.has(name) || !has(run, name));
  const rest = keysOf(run.metrics).filter((key) => !isDrawn(key));
  return { main, further: rest.flatMap((key) => noted(withoutEmpty(single(run, key))) ?? []) };
}

const has = ({ metrics }: Run, name: string) => metrics.some(({ values }) => Number.isFinite(values[name]));

function single({ metrics }: Run, key: string): Figure {
  const name = `metric-${key.replace(/[^a-zA-Z0-9]+/g, '-')}`;
  return { name, title: key, x: steps, panels: [scaleOf(panelOf(metrics, key, [{ key }]))] };
}

/** With what the reader has to know of lines through very many steps, and of numbers that are none. */
function noted(figure: Figure | undefined): Figure | undefined {
  if (figure === undefined) return undefined;
  const series = figure.panels.flatMap((panel) => panel.series);
  const missing = series.flatMap(({ name, points }) => {
    const gaps = points.filter(({ y }) => !Number.isFinite(y)).length;
    return gaps === 0 ? [] : [`${name}: no finite number in ${gaps} of ${points.length} places, left as gaps.`];
  });
  const long = series.some(
    ({ draw, points }) => draw === 'line' && points.length === PLACES && points[0]!.low !== undefined,
  );
  const unlisted = series.some(({ draw, legend }) => draw === 'line-and-dots' && legend === false);
  const notes = [
    ...(figure.notes ?? []),
    ...(unlisted ? ['Dots joined by dashes: held-out rows.'] : []),
    ...(long ? [condensedNote] : []),
    ...missing,
  ];
  return notes.length === 0 ? figure : { ...figure, notes };
}
