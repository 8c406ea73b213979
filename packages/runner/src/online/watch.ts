import { momentsOf } from './metrics.js';

/** Mean rewards of each step: what is optimised, and what is only watched, by name. Plain JSON. */
export interface RewardHistory {
  readonly reward: readonly number[];
  readonly watched: Readonly<Record<string, readonly number[]>>;
}

export const noHistory: RewardHistory = { reward: [], watched: {} };

export function withStep(
  history: RewardHistory,
  reward: number,
  watched: Readonly<Record<string, Float64Array>>,
): RewardHistory {
  const means = Object.entries(watched).map(([name, values]) => [
    name,
    [...(history.watched[name] ?? []), momentsOf(values).mean],
  ]);
  return { reward: [...history.reward, reward], watched: Object.fromEntries(means) };
}

/** Steps at either end that are compared. */
const WINDOW = 10;

/**
 * Watched rewards that have fallen while the optimised one has risen: between the first and the last 10 steps, each by more
 * than two standard errors of the difference. A sign that the proxy is being gamed.
 */
export function gamed({ reward, watched }: RewardHistory): string[] {
  if (!(change(reward) > 2)) return [];
  return Object.entries(watched).flatMap(([name, values]) => (change(values) < -2 ? [name] : []));
}

/** The change from the first window to the last, in its standard errors; 0 before there are two windows. */
function change(values: readonly number[]): number {
  if (values.length < 2 * WINDOW) return 0;
  const [before, after] = [momentsOf(values.slice(0, WINDOW)), momentsOf(values.slice(-WINDOW))];
  const error = Math.sqrt((before.deviation ** 2 + after.deviation ** 2) / WINDOW);
  return (after.mean - before.mean) / Math.max(error, Number.MIN_VALUE);
}
