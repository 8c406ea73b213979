/** An ordering that a paper reports, looked for on enumerable worlds. */
export interface Ordering {
  readonly name: string;
  readonly paper: string;
  /** Where it was looked for: world, data, coefficients, seeds. */
  readonly regime: string;
  readonly reproduced: boolean;
  /** The counts, and figures behind them. */
  readonly found: string;
  /** Whether it has to be found. What is known not to be is told all the same. */
  readonly required: boolean;
}

export interface NamedOrdering {
  readonly name: string;
  run(): Ordering;
}

export function ordering(
  about: Pick<Ordering, 'name' | 'paper' | 'regime'> & { readonly required?: boolean },
  look: () => Pick<Ordering, 'reproduced' | 'found'>,
): NamedOrdering {
  return { name: about.name, run: () => ({ required: true, ...about, ...look() }) };
}

export const orderingSeeds = Array.from({ length: 20 }, (_, seed) => seed);

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** How many of the seeds it holds in. */
export function count<Item>(items: readonly Item[], holds: (item: Item) => boolean): number {
  return items.filter(holds).length;
}
