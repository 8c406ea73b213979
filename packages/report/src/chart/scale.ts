import { type ScaleContinuousNumeric, scaleLinear, scaleSqrt, scaleSymlog } from 'd3-scale';
import { extent } from '../stats.js';
import type { ScaleKind } from './figure.js';

/** Values to places on the page, with the ticks of the axis. */
export interface Scale {
  readonly kind: ScaleKind;
  readonly domain: readonly [number, number];
  at(value: number): number;
  readonly ticks: readonly { readonly value: number; readonly text: string }[];
}

export interface ScaleOptions {
  readonly kind?: ScaleKind;
  readonly range: readonly [number, number];
  /** Ticks wanted, about. */
  readonly count: number;
  /** Whole numbers only, the axis ending where the data does. */
  readonly counts?: boolean;
}

export function scaleFor(
  values: Iterable<number>,
  { kind = 'linear', range, count, counts = false }: ScaleOptions,
): Scale {
  const [low, high] = widened(extent(values) ?? [0, 1], counts);
  const scale = emptyScale(kind).domain([low, high]).range(range);
  if (!counts && kind !== 'symlog') scale.nice(count);
  const domain = scale.domain() as [number, number];
  const all = kind === 'symlog' ? powers(domain, count) : scale.ticks(count);
  const ticks = counts ? all.filter(Number.isInteger) : all;
  const text = kind === 'symlog' ? power : tickText(ticks);
  return {
    kind,
    domain,
    at: (value) => scale(value),
    ticks: ticks.map((value) => ({ value, text: value === 0 ? '0' : text(value) })),
  };
}

function emptyScale(kind: ScaleKind): ScaleContinuousNumeric<number, number> {
  if (kind === 'sqrt') return scaleSqrt();
  return kind === 'symlog' ? scaleSymlog() : scaleLinear();
}

/** An axis of one value needs room on both sides. */
function widened([low, high]: readonly [number, number], counts: boolean): [number, number] {
  if (high - low > Math.abs(high) * 1e-12) return [low, high];
  if (counts) return [Math.max(0, low - 1), high + 1];
  const room = Math.abs(high) * 0.1;
  return room === 0 ? [0, 1] : [low - room, high + room];
}

/** 0 and powers of ten either side of it, thinned to about `count`. */
function powers([low, high]: readonly [number, number], count: number): number[] {
  const upTo = (limit: number) =>
    limit < 1 ? [] : Array.from({ length: Math.floor(Math.log10(limit)) + 1 }, (_, i) => 10 ** i);
  const [below, above] = [upTo(-low), upTo(high)];
  if (below.length + above.length === 0) return scaleLinear().domain([low, high]).ticks(count);
  const every = Math.max(1, Math.ceil((below.length + above.length) / count));
  const thin = (values: readonly number[]) => values.filter((_, at) => at % every === 0 && (at > 0 || every === 1));
  const zero = low <= 0 && high >= 0 ? [0] : [];
  return [
    ...thin(below)
      .map((value) => -value)
      .reverse(),
    ...zero,
    ...thin(above),
  ];
}

/** One way of writing for all ticks of an axis: short, and with as many digits as tell them apart. */
function tickText(ticks: readonly number[]): (value: number) => string {
  const largest = ticks.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const [low = 0, high = 1] = [ticks[0], ticks.at(-1)];
  if (largest >= 1e4 || ticks.length < 2) return compact;
  return scaleLinear()
    .domain([low, high])
    .tickFormat(ticks.length, largest < 1e-3 ? '~e' : undefined);
}

/** 1000 as it is, 10000 as 1e4. */
const power = (value: number) => signed(value, (size) => (size < 1e4 ? String(size) : exponent(size)));

/** 2500 as 2.5k. */
const compact = (value: number) =>
  signed(value, (size) => {
    if (size >= 1e12) return exponent(size);
    const [unit, letter] = units.find(([least]) => size >= least) ?? [1, ''];
    return `${Number((size / unit).toPrecision(4))}${letter}`;
  });

const units = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const;

const exponent = (size: number) => size.toExponential().replace('+', '');

const signed = (value: number, text: (size: number) => string) => `${value < 0 ? '−' : ''}${text(Math.abs(value))}`;
