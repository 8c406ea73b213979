import type { RewardRow } from '../reward.js';

/** A row of which a test says only what matters to it; its ids are as many as it has words. */
export function rowOf(completion: string, rest: Partial<RewardRow> = {}): RewardRow {
  const words = completion.split(/\s+/).filter((word) => word !== '');
  return { prompt: 'Say something:', completion, ids: words.map((_, at) => at), ended: true, meta: {}, ...rest };
}
