import { overlongPenalty } from '@kelpie/objectives';
import { z } from 'zod';
import { badOption } from '../error.js';
import { rule } from '../rule.js';
import { defineSource } from '../source.js';
import { unit, unitsOf } from '../units.js';

/**
 * How long a completion is, n.
 *   target   -|n - target|/target
 *   limit    0 up to `limit - buffer`, in a straight line to -1 at `limit`, -1 beyond (DAPO: Yu et al. 2025, arXiv:2503.14476,
 *            eq. 13); with buffer 0 it is 0 up to and at the limit
 *   neither  n itself, to be watched or weighted
 */
export const length = defineSource({
  name: 'length',
  summary: 'near a target length, or under a limit, in tokens, words or characters',
  options: {
    unit: unit.default('tokens'),
    target: z.number().positive().optional().describe('The length that is best.'),
    limit: z.number().positive().optional().describe('The length from which on the reward is -1.'),
    buffer: z.number().min(0).default(0).describe('How far before the limit the reward begins to fall.'),
  },
  open({ name, unit, target, limit, buffer }) {
    if (target !== undefined && limit !== undefined) throw badOption(name, 'limit', 'nothing beside `target`', limit);
    if (buffer > (limit ?? 0)) throw badOption(name, 'buffer', 'at most `limit`', buffer);
    const judged = (n: number): number => {
      if (target !== undefined) return -Math.abs(n - target) / target;
      if (limit === undefined) return n;
      if (buffer === 0) return n > limit ? -1 : 0;
      return overlongPenalty(n, { limit, buffer }) || 0;
    };
    return rule(name, (row) => judged(unitsOf(row, unit).length) || 0);
  },
});
