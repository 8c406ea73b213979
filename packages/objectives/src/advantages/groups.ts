import { momentsOf } from './whiten.js';

/** Rewards of completions, several a prompt. */
export interface GroupedRewards {
  /** [rows]. NaN: not judged; takes part in no statistic and gets advantage 0. */
  readonly rewards: Float64Array;
  /** [rows]: group of each row, one group a prompt. */
  readonly groups: Int32Array;
}

export interface DeviationOptions {
  /** Added to the standard deviation: 1e-4 (TRL, the default), 1e-6 (verl), 1e-8 (Dr. GRPO's code), 1e-2 (HALOs). */
  readonly epsilon?: number;
  /** Deviation by n - 1 (TRL, verl; the default) or by n (HALOs). */
  readonly unbiased?: boolean;
}

/** Row indices of each group, in order of first appearance. */
export function rowsByGroup(groups: Int32Array): number[][] {
  const byGroup = new Map<number, number[]>();
  groups.forEach((group, row) => {
    const rows = byGroup.get(group);
    if (rows) rows.push(row);
    else byGroup.set(group, [row]);
  });
  return [...byGroup.values()];
}

/**
 * [rows]: an advantage from the judged rows of each group. A group with fewer than 2 of them tells nothing: 0. (verl
 * gives a group of one its raw reward.)
 */
function perGroup(
  { rewards, groups }: GroupedRewards,
  advantagesOf: (rewards: Float64Array, rows: readonly number[]) => Float64Array,
): Float64Array {
  const advantages = new Float64Array(rewards.length);
  for (const group of rowsByGroup(groups)) {
    const judged = group.filter((row) => !Number.isNaN(rewards[row]));
    if (judged.length < 2) continue;
    const own = advantagesOf(
      Float64Array.from(judged, (row) => rewards[row]!),
      judged,
    );
    judged.forEach((row, at) => {
      advantages[row] = own[at]!;
    });
  }
  return advantages;
}

/** (R - mean)/(std + epsilon) within the group: GRPO. Shao et al. 2024, arXiv:2402.03300. */
export function groupStd(grouped: GroupedRewards, { epsilon = 1e-4, unbiased = true }: DeviationOptions = {}) {
  return perGroup(grouped, (rewards) => {
    const { mean, variance } = momentsOf(rewards, unbiased);
    return rewards.map((reward) => (reward - mean) / (Math.sqrt(variance) + epsilon));
  });
}

/** R - mean within the group: Dr. GRPO. Liu et al. 2025, arXiv:2503.20783. */
export function groupMean(grouped: GroupedRewards): Float64Array {
  return perGroup(grouped, (rewards) => {
    const { mean } = momentsOf(rewards, false);
    return rewards.map((reward) => reward - mean);
  });
}

/** (R - group mean)/(std of all judged rewards of the batch + epsilon): `scale_rewards: "batch"` of TRL. */
export function batchStd(grouped: GroupedRewards, { epsilon = 1e-4, unbiased = true }: DeviationOptions = {}) {
  const judged = grouped.rewards.filter((reward) => !Number.isNaN(reward));
  if (judged.length < 2) return new Float64Array(grouped.rewards.length);
  const deviation = Math.sqrt(momentsOf(judged, unbiased).variance);
  return groupMean(grouped).map((advantage) => advantage / (deviation + epsilon));
}

/** R_i - mean of the other rewards of the group: RLOO. Ahmadian et al. 2024, arXiv:2402.14740. */
export function leaveOneOut(grouped: GroupedRewards): Float64Array {
  return perGroup(grouped, (rewards) => {
    const { mean } = momentsOf(rewards, false);
    const count = rewards.length;
    return rewards.map((reward) => (count / (count - 1)) * (reward - mean));
  });
}

/**
 * R minus the group's mean weighted by length, Σ n_i R_i / Σ n_i: the baseline of least variance where a completion's
 * squared gradient grows as its length. OPO: Hao et al. 2025, arXiv:2505.23585. `lengths` is [rows]; 0 in a group whose
 * completions are all empty.
 */
export function lengthWeighted(grouped: GroupedRewards, lengths: Float64Array): Float64Array {
  return perGroup(grouped, (rewards, rows) => {
    const length = rows.reduce((sum, row) => sum + lengths[row]!, 0);
    if (length === 0) return new Float64Array(rewards.length);
    const baseline = rewards.reduce((sum, reward, at) => sum + lengths[rows[at]!]! * reward, 0) / length;
    return rewards.map((reward) => reward - baseline);
  });
}

/**
 * Each reward normalised within the group, weighted, summed, and the sum normalised over the batch: GDPO, and
 * `normalize_then_sum` of TRL. Liu et al. 2026, arXiv:2601.05242. `rewards` is one [rows] for each reward function. A row
 * that one of them did not judge is 0 in that one; a row that none judged is 0 and left out of the batch's statistics.
 */
export function normalizeThenSum(
  {
    rewards,
    weights,
    groups,
  }: {
    readonly rewards: readonly Float64Array[];
    readonly weights: readonly number[];
    readonly groups: Int32Array;
  },
  options: DeviationOptions = {},
): Float64Array {
  const normalised = rewards.map((column) => groupStd({ rewards: column, groups }, options));
  const sums = Float64Array.from(groups, (_, row) =>
    rewards.every((column) => Number.isNaN(column[row]))
      ? Number.NaN
      : normalised.reduce((sum, column, at) => sum + weights[at]! * column[row]!, 0),
  );
  return normalizeBatch(sums, options);
}

/** (x - mean)/(std + epsilon) over all judged rows of the batch, as TRL's RLOO with `normalize_advantages`. */
export function normalizeBatch(values: Float64Array, { epsilon = 1e-4, unbiased = true }: DeviationOptions = {}) {
  const judged = values.filter((value) => !Number.isNaN(value));
  if (judged.length < 2) return new Float64Array(values.length);
  const { mean, variance } = momentsOf(judged, unbiased);
  return values.map((value) => (Number.isNaN(value) ? 0 : (value - mean) / (Math.sqrt(variance) + epsilon)));
}

/**
 * [rows]: 1 on the rows of groups whose rewards differ, 0 where every judged completion has the same and the advantage is
 * 0 throughout: what DAPO's dynamic sampling draws again. Yu et al. 2025, arXiv:2503.14476.
 */
export function informativeRows({ rewards, groups }: GroupedRewards): Uint8Array {
  const informative = new Uint8Array(rewards.length);
  for (const rows of rowsByGroup(groups)) {
    const judged = rows.map((row) => rewards[row]!).filter((reward) => !Number.isNaN(reward));
    if (judged.some((reward) => reward !== judged[0])) for (const row of rows) informative[row] = 1;
  }
  return informative;
}
