import type { Source } from '@kelpie/rewards';
import * as rewards from '@kelpie/rewards';
import { rewardModel } from '@kelpie/runner';

/** Sources by the name that a flag or a config calls them. */
export function rewardSources(): ReadonlyMap<string, Source> {
  const all = [...Object.values(rewards), rewardModel] as readonly unknown[];
  return new Map(all.filter(isSource).map((source) => [source.name, source]));
}

/** What `type` may be in a config: sources, and what is made of other rewards. */
export const rewardTypes = (): string[] =>
  [...new Set([...rewards.rewardTypes.map(({ name }) => name), ...rewardSources().keys()])].sort();

function isSource(value: unknown): value is Source {
  if (typeof value !== 'object' || value === null) return false;
  const { name, summary, options, open } = value as Partial<Source>;
  return typeof name === 'string' && typeof summary === 'string' && typeof open === 'function' && options !== undefined;
}
