import { z } from 'zod';
import type { RewardRow } from './reward.js';

export const unit = z
  .enum(['tokens', 'words', 'characters'])
  .describe('Tokens with the end token; words between white space; characters as code points.');

export type Unit = z.output<typeof unit>;

/** A completion piece by piece. */
export function unitsOf({ completion, ids }: RewardRow, of: Unit): readonly (string | number)[] {
  if (of === 'tokens') return Array.from(ids);
  if (of === 'characters') return [...completion];
  return completion.split(/\s+/).filter((word) => word !== '');
}
