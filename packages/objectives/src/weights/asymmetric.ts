import { groupStd, rowsByGroup } from '../advantages/index.js';

/** Judged completions, several a prompt. */
export interface JudgedGroups {
  /** [rows]: above 0 is right, anything else wrong; NaN: not judged. */
  readonly rewards: Float64Array;
  /** [rows] */
  readonly groups: Int32Array;
  /** [rows]: tokens. */
  readonly lengths: Float64Array;
}

/** All [rows]. */
export interface AsymmetricWeights {
  /** d = 1 - mean reward of the group, the same on each of its rows. */
  readonly difficulties: Float64Array;
  /** Of a row's KL: 1 - e^{-e(1-d)} where the advantage is positive and 0 < d < 1, else 1. */
  readonly klWeights: Float64Array;
  /** Of a row's advantage: 2 - 1.00001^{-excess} on a wrong row longer than the mean right one, else 1. */
  readonly advantageScales: Float64Array;
  /** (R - mean)/(std + 1e-9) within the group, times the scale. */
  readonly advantages: Float64Array;
}

/** Per token of excess length. */
const LENGTH_BASE = 1.00001;

/**
 * Weights of asymmetric policy optimisation: on hard prompts right answers are held to the reference less, and wrong
 * answers that ramble are pushed down more. View-R1 (Indolent-Kawhi/View-R1, `ppo_actor.py`, `experience_maker.py`);
 * the numbers are those of that code. Difficulty is 0 or 1 where all agree: then a KL counts in full. The
 * excess is that over the mean length of the group's right answers; a group without any leaves advantages as they are.
 * The deviation is unbiased.
 */
export function asymmetricWeights({ rewards, groups, lengths }: JudgedGroups): AsymmetricWeights {
  const difficulties = new Float64Array(rewards.length);
  const advantageScales = new Float64Array(rewards.length).fill(1);
  for (const rows of rowsByGroup(groups)) {
    const judged = rows.filter((row) => !Number.isNaN(rewards[row]!));
    const right = judged.filter((row) => rewards[row]! > 0);
    const difficulty = 1 - mean(judged.map((row) => rewards[row]!));
    for (const row of rows) difficulties[row] = difficulty;
    if (right.length === 0) continue;
    const usual = mean(right.map((row) => lengths[row]!));
    for (const row of judged) {
      const excess = lengths[row]! - usual;
      if (!(rewards[row]! > 0) && excess > 0) advantageScales[row] = 2 - LENGTH_BASE ** -excess;
    }
  }
  const advantages = groupStd({ rewards, groups }, { epsilon: 1e-9 }).map(
    (value, row) => value * advantageScales[row]!,
  );
  const klWeights = advantages.map((advantage, row) => {
    const ease = 1 - difficulties[row]!;
    return advantage > 0 && ease > 0 && ease < 1 ? -Math.expm1(-Math.E * ease) : 1;
  });
  return { difficulties, klWeights, advantageScales, advantages };
}

/** 0 of nothing. */
function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
}
