import { openPolicy, type Tokenizer } from '@kelpie/policy';
import { momentsOfRewards, type Reward, type RewardRow } from '@kelpie/rewards';
import type { RunSettings } from './settings.js';
import { base, gold, promptsOf } from './shipped.js';

export interface Moments {
  readonly mean: number;
  readonly deviation: number;
}

export type ReferenceSettings = Pick<RunSettings, 'reference' | 'maxNewTokens'>;

/** Completions of the base model, one a prompt, which give rewards their scale. */
export interface Reference {
  readonly settings: ReferenceSettings;
  readonly rows: readonly RewardRow[];
  /** Of the gold reward, in points. */
  readonly gold: Moments;
}

export async function drawReference(
  { reference: count, maxNewTokens }: ReferenceSettings,
  tokenizer: Tokenizer,
  threads: number,
): Promise<Reference> {
  await using policy = await openPolicy({ model: base, threads });
  const prompts = promptsOf('pairs', tokenizer).slice(0, count);
  const request = { prompts: prompts.map(({ ids }) => ids), maxNewTokens, stop: tokenizer.eosTokens, seed: 0 };
  const completions = await policy.sample(request);
  const rows = completions.map(({ prompt: at, ids, ended }): RewardRow => {
    const completion = tokenizer.decode(ended ? ids.slice(0, -1) : ids, { skipSpecialTokens: true });
    return { prompt: prompts[at]!.text!, completion, ids, ended, meta: {} };
  });
  const { mean, deviation } = momentsOfRewards((await gold.judge(rows)).rewards);
  return { settings: { reference: count, maxNewTokens }, rows, gold: { mean, deviation } };
}

/** Of a proxy on these completions: the moments that it is scaled by, and Pearson's correlation with gold. */
export interface Standing {
  readonly moments: Moments;
  readonly correlation: number;
}

/** A planted proxy is scaled by gold's deviation: that of its heavy tails may not exist. */
export async function standingOf(
  { rows, gold: scale }: Reference,
  proxy: Reward,
  { planted }: { readonly planted: boolean },
): Promise<Standing> {
  const [own, actual] = await Promise.all([proxy.judge(rows), gold.judge(rows)]);
  const [a, b] = [momentsOfRewards(own.rewards), momentsOfRewards(actual.rewards)];
  const products = own.rewards.map((value, at) => (value - a.mean) * (actual.rewards[at]! - b.mean));
  const covariance = products.reduce((sum, value) => sum + value, 0) / (rows.length - 1);
  return {
    moments: { mean: a.mean, deviation: planted ? scale.deviation : a.deviation },
    correlation: covariance / (a.deviation * b.deviation),
  };
}
