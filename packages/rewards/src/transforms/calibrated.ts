import { badOption, type RowFailure, rowsFailed, show } from '../error.js';
import { derived, failureOf, type Reward, type RewardRow } from '../reward.js';

/** By prompt: the rewards of the reference's completions of it, in any order. Plain JSON. */
export type ReferenceRewards = Readonly<Record<string, readonly number[]>>;

export interface CalibrateOptions {
  readonly name?: string;
  readonly reference: ReferenceRewards;
  /** t of the transformation; 0: none. Default 0. */
  readonly tilt?: number;
}

/**
 * The quantile of a reward among those of the reference's completions of the same prompt, then a transformation of it:
 * InfAlign's calibrate and transform. Balashankar et al. 2024, arXiv:2412.19792.
 *   C(x, y) = P_{z ~ π_ref(x)}(R(x, z) <= R(x, y)), from samples: the share of them that is not above
 *   tilt 0   C, which is best for the plain win rate;   else   sign(t) e^{tC}: t > 0 for best-of-n, t < 0 for worst-of-n
 * The name alone is the result; with a tilt, `NAME/quantile` is a part. A row whose prompt has no reference is an error.
 */
export function calibrated(
  reward: Reward,
  { name = `${reward.name}/calibrated`, reference, tilt = 0 }: CalibrateOptions,
): Reward {
  if (!(Math.abs(tilt) <= 500)) throw badOption(name, 'tilt', 'a number in -500..500', tilt);
  const sorted = new Map(
    Object.entries(reference).map(([prompt, rewards]) => [prompt, sortedOf(name, prompt, rewards)]),
  );
  return derived({
    name,
    members: [reward],
    parts: tilt === 0 ? [] : [`${name}/quantile`],
    combine([values], { rows }) {
      const samples = samplesOf(name, rows, sorted);
      const quantile = values!.map((value, row) =>
        Number.isNaN(value) ? value : notAbove(samples[row]!, value) / samples[row]!.length,
      );
      if (tilt === 0) return { rewards: quantile };
      const rewards = quantile.map((share) => Math.sign(tilt) * Math.exp(tilt * share));
      return { rewards, parts: { [`${name}/quantile`]: quantile } };
    },
  });
}

/** Rewards of the reference's completions, by prompt. What was not judged is left out. */
export function referenceRewards(
  rows: readonly Pick<RewardRow, 'prompt'>[],
  rewards: ArrayLike<number>,
): ReferenceRewards {
  const table = new Map<string, number[]>();
  for (const [at, { prompt }] of rows.entries()) {
    if (Number.isNaN(rewards[at])) continue;
    const list = table.get(prompt);
    if (list === undefined) table.set(prompt, [rewards[at]!]);
    else list.push(rewards[at]!);
  }
  return Object.fromEntries(table);
}

function sortedOf(name: string, prompt: string, rewards: readonly number[]): Float64Array {
  if (rewards.length > 0 && rewards.every(Number.isFinite)) return Float64Array.from(rewards).sort();
  throw badOption(name, 'reference', `at least one finite number for the prompt ${show(prompt)}`, rewards);
}

function samplesOf(
  name: string,
  rows: readonly RewardRow[],
  sorted: ReadonlyMap<string, Float64Array>,
): readonly Float64Array[] {
  const failures: RowFailure[] = [];
  const samples = rows.map((row, at) => {
    const found = sorted.get(row.prompt);
    if (found === undefined)
      failures.push(failureOf(row, at, new Error(`no reference rewards for the prompt ${show(row.prompt)}`)));
    return found ?? new Float64Array();
  });
  if (failures.length > 0) throw rowsFailed(name, failures, rows.length);
  return samples;
}

/** How many of the sorted numbers are not above x. */
function notAbove(sorted: Float64Array, x: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}
