import { rowsByGroup } from '@kelpie/objectives';

/**
 * [rows]: share of the other judged completions of the group that have a lower reward, ties half: how likely the policy's own
 * completions are to lose against it. NaN where it was not judged, or there is nothing to compare with.
 */
export function winRates(rewards: Float64Array, groups: Int32Array): Float64Array {
  const rates = new Float64Array(rewards.length).fill(Number.NaN);
  for (const rows of rowsByGroup(groups)) {
    const judged = rows.filter((row) => !Number.isNaN(rewards[row]!));
    if (judged.length < 2) continue;
    for (const row of judged) {
      const won = judged.reduce((sum, other) => sum + (Math.sign(rewards[row]! - rewards[other]!) + 1) / 2, -0.5);
      rates[row] = won / (judged.length - 1);
    }
  }
  return rates;
}

export const readings = ['rewards', 'win-rates'] as const;
export type Reading = (typeof readings)[number];

/** What an objective that reads rewards means by them: Nash-MD how likely a completion is to be preferred. */
export function usualReading(objective: string): Reading {
  return objective.endsWith('nash-md') ? 'win-rates' : 'rewards';
}
