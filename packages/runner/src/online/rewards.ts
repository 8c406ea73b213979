import { KelpieError } from '@kelpie/policy';
import { inParallel, type Reward, type RewardRow, type RewardState, weightedOver } from '@kelpie/rewards';

export interface WeightedReward {
  readonly reward: Reward;
  /** Default 1. */
  readonly weight?: number;
  /** What decides on it besides its name, as plain JSON: options, the hash of a file. A checkpoint goes on with the same only. */
  readonly madeOf?: Readonly<Record<string, unknown>>;
}

/** Numbers of completions, each [rows]. */
export interface Judged {
  /** The weighted sum of what is optimised. NaN: none of them judged the row. */
  readonly rewards: Float64Array;
  /** Of each optimised reward, in order, and its weight. */
  readonly terms: readonly Float64Array[];
  readonly weights: readonly number[];
  /** By name, everything they were made of; optimised, and only watched. */
  readonly parts: Readonly<Record<string, Float64Array>>;
  readonly watched: Readonly<Record<string, Float64Array>>;
  readonly state: RewardState;
}

export interface Judges {
  readonly rewards: readonly WeightedReward[];
  readonly watched: readonly Reward[];
}

/** Refuses a run without a reward, and two of one name: they would be one column. */
export function requireRewards({ rewards, watched }: Judges): void {
  if (rewards.length === 0) throw new KelpieError('no reward is named: give at least one', { code: 'bad-option' });
  const names = [...rewards.map(({ reward }) => reward.name), ...watched.map(({ name }) => name)];
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice === undefined) return;
  throw new KelpieError(`two rewards are called \`${twice}\`: give one of them another name`, { code: 'bad-option' });
}

/** Asks every reward, side by side; the first that fails ends them all. Rows that one leaves unjudged are judged by the others. */
export async function judge(
  { rewards, watched }: Judges,
  rows: readonly RewardRow[],
  { state, signal }: { readonly state: RewardState; readonly signal?: AbortSignal },
): Promise<Judged> {
  const all = [...rewards.map(({ reward }) => reward), ...watched];
  const judged = await inParallel(all, all.length, signal, (reward, _, aborted) =>
    reward.judge(rows, { state, signal: aborted }),
  );
  const [optimised, others] = [judged.slice(0, rewards.length), judged.slice(rewards.length)];
  const terms = optimised.map((judged) => judged.rewards);
  const weights = rewards.map(({ weight = 1 }) => weight);
  return {
    rewards: Float64Array.from(rows, (_, row) => weightedOver(terms, weights, row)),
    terms,
    weights,
    parts: Object.assign({}, ...optimised.map(({ parts }) => parts)),
    watched: Object.assign({}, ...others.map(({ parts }) => parts)),
    state: Object.assign({}, state, ...[...optimised, ...others].map((judged) => judged.state)),
  };
}
