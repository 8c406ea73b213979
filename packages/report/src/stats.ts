/** Of what is finite; NaN of nothing. */
export function mean(values: readonly number[]): number {
  const finite = values.filter(Number.isFinite);
  return finite.reduce((sum, value) => sum + value, 0) / finite.length;
}

/** Deviation by n - 1; 0 of one value. */
export function deviation(values: readonly number[]): number {
  const finite = values.filter(Number.isFinite);
  if (finite.length < 2) return 0;
  const centre = mean(finite);
  return Math.sqrt(finite.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (finite.length - 1));
}

/** What a band shows. */
export const bandKinds = ['standard-error', 'min-max'] as const;
export type BandKind = (typeof bandKinds)[number];

export interface Spread {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

/** Mean with mean ± deviation/√n, or with the lowest and the highest. */
export function spreadOf(values: readonly number[], kind: BandKind): Spread {
  const finite = values.filter(Number.isFinite);
  const centre = mean(finite);
  const count = finite.length;
  if (kind === 'min-max') {
    const [low, high] = extent(finite) ?? [Number.NaN, Number.NaN];
    return { mean: centre, low, high, count };
  }
  const error = deviation(finite) / Math.sqrt(count);
  return { mean: centre, low: centre - error, high: centre + error, count };
}

/** Lowest and highest of what is finite; nothing of nothing. */
export function extent(values: Iterable<number>): [number, number] | undefined {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? [low, high] : undefined;
}

/** At most `count` runs of neighbours, as even as can be. */
export function bins<Item>(items: readonly Item[], count: number): Item[][] {
  const number = Math.min(count, items.length);
  const edge = (bin: number) => Math.round((bin * items.length) / number);
  return Array.from({ length: number }, (_, bin) => items.slice(edge(bin), edge(bin + 1)));
}

/** Mean of each value and those before it, at most `window` of them; nothing where none is finite. */
export function trailingMeans(values: readonly number[], window: number): number[] {
  return values.map((_, at) => mean(values.slice(Math.max(0, at - window + 1), at + 1)));
}
