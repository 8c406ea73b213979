import { calibratedRewards, transformedRewards } from '@kelpie/objectives';
import { badOption, type RowFailure, rowsFailed, show } from '../error.js';
import { derived, failureOf, type Reward, type RewardRow } from '../reward.js';

/** By prompt: the rewards of the reference's completions of it, in any order. Plain JSON. */
export type ReferenceRewards = Readonly<Record<string, readonly number[]>>;

export interface CalibrateOptions {
  readonly name?: string;
  readonly reference: ReferenceRewards;
  /** t of the transformation: above 0 for best-of-n, below for worst-of-n, 0 for none. Default 0. */
  readonly exponent?: number;
}

/** Beyond it e^t is no number to train with, if it is one at all. */
const largestExponent = 100;

/**
 * The quantile of a reward among those of the reference's completions of the same prompt, then a transformation of it:
 * InfAlign's calibrate and transform. Balashankar et al. 2024, arXiv:2412.19792.
 *   C(x, y) = P_{z ~ π_ref(x)}(R(x, z) <= R(x, y)), from samples: the share of them that is not above
 *   exponent 0   C, the win rate itself;   else   sign(t) e^{tC}
 * With an exponent, `NAME/quantile` is a part. A row whose prompt has no reference is an error.
 */
export function calibrated(
  reward: Reward,
  { name = `${reward.name}/calibrated`, reference, exponent = 0 }: CalibrateOptions,
): Reward {
  if (!(Math.abs(exponent) <= largestExponent))
    throw badOption(name, 'exponent', `a number in -${largestExponent}..${largestExponent}`, exponent);
  const samples = new Map(Object.entries(reference));
  for (const [prompt, rewards] of samples) {
    if (rewards.length === 0 || !rewards.every(Number.isFinite))
      throw badOption(name, 'reference', `at least one finite number for the prompt ${show(prompt)}`, rewards);
  }
  return derived({
    name,
    members: [reward],
    parts: exponent === 0 ? [] : [`${name}/quantile`],
    combine([values], { rows }) {
      const quantile = calibratedRewards(values!, samplesOf(name, rows, samples));
      if (exponent === 0) return { rewards: quantile };
      return { rewards: transformedRewards(quantile, exponent), parts: { [`${name}/quantile`]: quantile } };
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

function samplesOf(
  name: string,
  rows: readonly RewardRow[],
  samples: ReadonlyMap<string, readonly number[]>,
): readonly (readonly number[])[] {
  const failures: RowFailure[] = [];
  const found = rows.map((row, at) => {
    const own = samples.get(row.prompt);
    if (own === undefined)
      failures.push(failureOf(row, at, new Error(`no reference rewards for the prompt ${show(row.prompt)}`)));
    return own ?? [];
  });
  if (failures.length > 0) throw rowsFailed(name, failures, rows.length);
  return found;
}
