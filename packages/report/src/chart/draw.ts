import { area, curveLinear, line } from 'd3-shape';
import { escaped, numberText } from '../text.js';
import { type Figure, isDrawn, type Mark, type Panel, type Point, type Series } from './figure.js';
import { legendOf, shortened, wrapped } from './legend.js';
import { type Scale, scaleFor } from './scale.js';

const RIGHT = 14;
const LABEL = 20;
const BETWEEN = 12;
const AXIS = 38;

export interface Drawn {
  readonly svg: string;
  readonly width: number;
  readonly height: number;
}

export interface DrawOptions {
  /** Begins the ids of its title and description. Default: the figure's name. */
  readonly id?: string;
  /** For a wide page, or for a phone. Default: as the figure says. */
  readonly wide?: boolean;
  /** Writes the notes beneath. Default false: they stand beside it. */
  readonly notes?: boolean;
}

/** A figure as SVG that takes its colours from around it. */
export function drawFigure(figure: Figure, options: DrawOptions = {}): Drawn {
  const { id = figure.name, wide = figure.wide ?? false, notes: noted = false } = options;
  const { panels, marks = [], x, title } = figure;
  const width = wide ? 600 : 360;
  const tall = tallness(panels.length, wide);
  const vertical = panels.map((panel) => yScale(panel, tall));
  const left = Math.max(
    34,
    ...vertical.map(({ ticks }) => 12 + 6.3 * Math.max(0, ...ticks.map(({ text }) => text.length))),
  );
  const horizontal = scaleFor(xValues(figure), {
    range: [left, width - RIGHT],
    count: wide ? 7 : 5,
    ...(x.scale && { kind: x.scale }),
    ...(x.counts && { counts: x.counts }),
  });
  const parts: string[] = [];
  let top = marks.length > 0 ? 16 : 0;
  const first = top;
  panels.forEach((panel, at) => {
    const legend = legendOf(panel, { left: 4, width: width - 8 });
    parts.push(
      `<g transform="translate(0 ${top})"><text class="label" x="4" y="13">${escaped(panel.label)}</text>`,
      `<g transform="translate(0 ${LABEL})">${legend.svg}</g></g>`,
    );
    top += LABEL + legend.height;
    parts.push(drawPanel(panel, { top, tall, x: horizontal, y: vertical[at]!, marks }));
    top += tall + BETWEEN;
  });
  const bottom = top - BETWEEN;
  parts.push(xAxis(horizontal, bottom, x.label), markTexts(marks, { top: first, width: width - 8 }));
  parts.push(`<line class="cursor" y1="${first}" y2="${bottom}" x1="0" x2="0"/>`);
  const notes = noted ? (figure.notes ?? []).flatMap((note) => wrapped(note, width - 8)) : [];
  notes.forEach((line, at) => {
    parts.push(`<text class="axis" x="4" y="${bottom + AXIS + 14 + 15 * at}">${escaped(line)}</text>`);
  });
  const height = bottom + AXIS + (notes.length > 0 ? 15 * notes.length + 8 : 0);
  const follows =
    figure.table === undefined && (x.scale ?? 'linear') === 'linear'
      ? ` data-left="${left}" data-right="${width - RIGHT}" data-low="${horizontal.domain[0]}" data-high="${horizontal.domain[1]}"`
      : '';
  const svg = [
    `<svg xmlns="http://www.w3.org/2000/svg" class="chart${wide ? ' chart-wide' : ''}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${id}-title ${id}-about"${follows}>`,
    `<title id="${id}-title">${escaped(title)}</title><desc id="${id}-about">${escaped(aboutOf(figure))}</desc>`,
    ...parts,
    '</svg>',
  ].join('\n');
  return { svg, width, height };
}

function tallness(panels: number, wide: boolean): number {
  if (panels === 1) return wide ? 260 : 190;
  if (panels === 2) return wide ? 140 : 118;
  return wide ? 104 : 84;
}

function xValues({ panels, x: { include = [] } }: Figure): number[] {
  const values = panels.flatMap(({ series }) =>
    series.flatMap(({ points }) => points.filter(isDrawn).flatMap(({ x, lowX = x, highX = x }) => [x, lowX, highX])),
  );
  return [...values, ...include];
}

function yScale({ series, scale, include = [] }: Panel, tall: number): Scale {
  const values = series.flatMap(({ points }) =>
    points.filter(isDrawn).flatMap(({ y, low = y, high = y }) => [y, low, high]),
  );
  return scaleFor([...values, ...include], {
    range: [tall, 0],
    count: tall > 150 ? 5 : 3,
    ...(scale && { kind: scale }),
  });
}

interface Place {
  readonly top: number;
  readonly tall: number;
  readonly x: Scale;
  readonly y: Scale;
  readonly marks: readonly Mark[];
}

function drawPanel({ series }: Panel, { top, tall, x, y, marks }: Place): string {
  const [from, to] = [x.at(x.domain[0]), x.at(x.domain[1])];
  const grid = y.ticks.map(({ value, text }) => {
    const place = round(y.at(value));
    const zero = value === 0 && y.domain[0] < 0 ? 'zero' : 'grid';
    return `<line class="${zero}" x1="${round(from)}" x2="${round(to)}" y1="${place}" y2="${place}"/><text class="tick" x="${round(from) - 6}" y="${place + 4}" text-anchor="end">${text}</text>`;
  });
  const shades = marks.map((mark) => {
    const [start, end] = edgesOf(mark, x);
    return `<rect class="mark" x="${start}" y="0" width="${round(end - start)}" height="${tall}"/><line class="mark-line" x1="${start}" x2="${start}" y1="0" y2="${tall}"/>`;
  });
  return [
    `<g transform="translate(0 ${top})">`,
    ...grid,
    ...shades,
    ...series.map((one) => drawSeries(one, x, y)),
    '</g>',
  ].join('');
}

/** Where a mark is; wide enough to be seen. */
function edgesOf({ from, to }: Mark, x: Scale): [number, number] {
  const start = round(x.at(from));
  return [start, Math.max(start + 2, round(x.at(to)))];
}

function drawSeries({ points, draw, color, dashed = false, faint = false, name }: Series, x: Scale, y: Scale): string {
  const at = { x: (point: Point) => round(x.at(point.x)), y: (value: number) => round(y.at(value)) };
  const parts: string[] = [];
  if (points.some(({ low, high }) => low !== undefined && high !== undefined) && draw !== 'dots') {
    const band = area<Point>()
      .defined((point) => isDrawn(point) && Number.isFinite(point.low) && Number.isFinite(point.high))
      .x(at.x)
      .y0(({ low = 0 }) => at.y(low))
      .y1(({ high = 0 }) => at.y(high))
      .curve(curveLinear);
    parts.push(`<path class="band ${color}" d="${band([...points]) ?? ''}"/>`);
  }
  if (draw !== 'dots') {
    const path = line<Point>()
      .defined(isDrawn)
      .x(at.x)
      .y(({ y: value }) => at.y(value));
    const classes = ['line', color, ...(dashed ? ['dashed'] : []), ...(faint ? ['faint'] : [])].join(' ');
    parts.push(`<path class="${classes}" d="${path([...points]) ?? ''}"/>`);
  }
  const dots = draw === 'line' ? points.filter((_, index) => isAlone(points, index)) : points.filter(isDrawn);
  for (const point of dots) {
    const { low, high, lowX, highX } = point;
    const [cx, cy] = [at.x(point), at.y(point.y)];
    if (draw !== 'line' && lowX !== undefined && highX !== undefined)
      parts.push(
        `<line class="bar ${color}" x1="${round(x.at(lowX))}" x2="${round(x.at(highX))}" y1="${cy}" y2="${cy}"/>`,
      );
    if (draw === 'line-and-dots' && low !== undefined && high !== undefined)
      parts.push(`<line class="bar ${color}" x1="${cx}" x2="${cx}" y1="${at.y(low)}" y2="${at.y(high)}"/>`);
    const label = point.label ?? `${name}: ${numberText(point.y)} at ${numberText(point.x)}`;
    const radius = draw === 'line' ? 2 : draw === 'dots' ? 2.6 : 3.4;
    parts.push(
      `<circle class="dot ${color}${faint ? ' faint' : ''}" cx="${cx}" cy="${cy}" r="${radius}"><title>${escaped(label)}</title></circle>`,
    );
  }
  return parts.join('');
}

/** Between gaps a line of one point would not be seen. */
function isAlone(points: readonly Point[], index: number): boolean {
  const drawn = (at: number) => at >= 0 && at < points.length && isDrawn(points[at]!);
  return drawn(index) && !drawn(index - 1) && !drawn(index + 1);
}

function xAxis(x: Scale, bottom: number, label: string): string {
  const ticks = x.ticks.map(
    ({ value, text }) =>
      `<line class="grid" x1="${round(x.at(value))}" x2="${round(x.at(value))}" y1="${bottom}" y2="${bottom + 4}"/><text class="tick" x="${round(x.at(value))}" y="${bottom + 16}" text-anchor="middle">${text}</text>`,
  );
  const end = round(x.at(x.domain[1]));
  const name = `<text class="axis" x="${end}" y="${bottom + 32}" text-anchor="end">${escaped(label)}</text>`;
  return [...ticks, name].join('');
}

/** What marks say, each once; it stands above the first panel. */
function markTexts(marks: readonly Mark[], { top, width }: { readonly top: number; readonly width: number }): string {
  if (marks.length === 0) return '';
  const text = `⚠ ${[...new Set(marks.map((mark) => mark.text))].join('; ')}`;
  return `<text class="mark-text" x="4" y="${top - 5}">${escaped(shortened(text, width))}</text>`;
}

/** The figure in words, for those who do not see it. */
function aboutOf({ panels, x, marks = [], notes = [] }: Figure): string {
  const lines = panels.flatMap(({ label, series }) =>
    series
      .filter(({ faint }) => !faint)
      .map(({ name, points }) => {
        const drawn = points.filter(isDrawn);
        const [first, last] = [drawn[0]!, drawn.at(-1)!];
        const said = name === label ? name : `${label}, ${name}`;
        return `${said}: ${numberText(first.y)} at ${x.label} ${numberText(first.x)}, ${numberText(last.y)} at ${numberText(last.x)}.`;
      }),
  );
  return [...lines, ...marks.map(({ text, from }) => `From ${x.label} ${from}: ${text}.`), ...notes].join(' ');
}

const round = (value: number) => Math.round(value * 100) / 100;
