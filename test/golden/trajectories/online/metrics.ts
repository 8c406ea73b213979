import type { Judged } from './advantages.js';
import type { Rollout } from './rows.js';

const mean = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / values.length;

/** By n - 1. */
function deviation(values: Float64Array): number {
  const center = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1));
}

const judgedOf = (column: Float64Array) => column.filter((reward) => !Number.isNaN(reward));

/** Mean and deviation of each reward over the rows it judged, under the names the file gives them, in order. */
export function rewardMetrics({ rewards }: Judged, names: readonly string[]): Record<string, number> {
  if (names.length !== rewards.length) throw new Error(`the rows have ${rewards.length} rewards, the metrics ${names}`);
  return Object.fromEntries(
    rewards.flatMap((column, i) => [
      [`rewards/${names[i]}/mean`, mean(judgedOf(column))],
      [`rewards/${names[i]}/std`, deviation(judgedOf(column))],
    ]),
  );
}

/** Of the weighted sums. */
export function sumMetrics(sums: Float64Array): Record<string, number> {
  return { reward: mean(sums), reward_std: deviation(sums) };
}

/** The share of rows whose rewards do not differ from their group's, or from the rollout's. */
export function zeroSpread(compared: Float64Array, size: number): number {
  let flat = 0;
  for (let from = 0; from < compared.length; from += size) {
    if (size > 1 && !(deviation(compared.subarray(from, from + size)) > 1e-8)) flat += size;
  }
  return flat / compared.length;
}

/** Of completions, those left out included; the ones that end with an end token apart. */
export function lengthMetrics(rollouts: readonly Rollout[], endTokens: readonly number[]): Record<string, number> {
  const lengths = (some: readonly Rollout[]) => Float64Array.from(some, ({ completion }) => completion.length);
  const ended = rollouts.filter(({ completion }) => endTokens.includes(completion.at(-1) ?? -1));
  const [all, terminated] = [lengths(rollouts), ended.length > 0 ? lengths(ended) : Float64Array.of(0)];
  const of = (values: Float64Array, kind: string) => [
    [`completions/mean${kind}_length`, mean(values)],
    [`completions/min${kind}_length`, Math.min(...values)],
    [`completions/max${kind}_length`, Math.max(...values)],
  ];
  return Object.fromEntries([
    ...of(all, ''),
    ...of(terminated, '_terminated'),
    ['completions/clipped_ratio', 1 - ended.length / rollouts.length],
  ]);
}
