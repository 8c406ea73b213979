import { momentsOf } from './metrics.js';

/** Steps at either end that are compared. */
const WINDOW = 10;

/**
 * Mean rewards of the first 10 and the last 10 steps that had any: what is optimised, and what is only watched, by name. Plain
 * JSON, and never longer than that.
 */
export interface RewardHistory {
  readonly reward: readonly number[];
  readonly watched: Readonly<Record<string, readonly number[]>>;
}

export const noHistory: RewardHistory = { reward: [], watched: {} };

/** A step more; what nobody judged in it is left out. */
export function withStep(
  history: RewardHistory,
  reward: number | undefined,
  watched: Readonly<Record<string, Float64Array>>,
): RewardHistory {
  const means = Object.entries(watched).map(([name, values]) => {
    const judged = values.some((value) => !Number.isNaN(value));
    return [name, withValue(history.watched[name] ?? [], judged ? momentsOf(values).mean : undefined)] as const;
  });
  return { reward: withValue(history.reward, reward), watched: Object.fromEntries(means) };
}

function withValue(values: readonly number[], value: number | undefined): readonly number[] {
  if (value === undefined) return values;
  const all = [...values, value];
  return all.length <= 2 * WINDOW ? all : [...all.slice(0, WINDOW), ...all.slice(-WINDOW)];
}

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

/** What has become gamed between two histories, a step apart: told once, and again only after it was not so. */
export function newlyGamed(before: RewardHistory, after: RewardHistory): string[] {
  const known = gamed(before);
  return gamed(after).filter((name) => !known.includes(name));
}
