/** Sum and count kept apart, so that a mean over several micro-batches is the mean over all their rows. */
export interface Mean {
  readonly sum: number;
  readonly count: number;
}

/** By dashboard key: `rewards/chosen`, `logps/rejected`, `entropy`. */
export type Metrics = Readonly<Record<string, Mean>>;

/** The metrics of a whole step from those of its micro-batches. A key that only some have counts only there. */
export function mergeMetrics(parts: readonly Metrics[]): Metrics {
  const merged: Record<string, Mean> = {};
  for (const [key, { sum, count }] of parts.flatMap((part) => Object.entries(part))) {
    const before = merged[key] ?? { sum: 0, count: 0 };
    merged[key] = { sum: before.sum + sum, count: before.count + count };
  }
  return merged;
}

/** sum / count by key. A key without a single entry is left out: there is no mean of nothing. */
export function meanMetrics(metrics: Metrics): Record<string, number> {
  return Object.fromEntries(
    Object.entries(metrics).flatMap(([key, { sum, count }]) => (count > 0 ? [[key, sum / count]] : [])),
  );
}
