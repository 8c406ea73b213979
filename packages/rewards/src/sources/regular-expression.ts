import { messageOf } from '@kelpie/policy';
import { z } from 'zod';
import { badOption } from '../error.js';
import { interrupter } from '../interruptible.js';
import { rule } from '../rule.js';
import { defineSource } from '../source.js';

/** Whether, or how often, a completion matches: `match` for each match that counts, `miss` where there is none. */
export const regularExpression = defineSource({
  name: 'regular-expression',
  summary: 'what matches a pattern, or how often it does',
  options: {
    pattern: z.string().min(1).describe('As in JavaScript, without slashes.'),
    flags: z
      .string()
      .regex(/^[imsuv]*$/, 'expected some of i, m, s, u, v')
      .default('u')
      .describe('Flags of the pattern: i, m, s, u, v.'),
    match: z.number().default(1).describe('The reward of a match.'),
    miss: z.number().default(0).describe('The reward of a completion without a match.'),
    most: z.int().min(1).default(1).describe('How many matches count.'),
    timeoutMs: z.int().min(1).default(1000).describe('A row on which the pattern takes longer fails.'),
  },
  open({ name, pattern, flags, match, miss, most, timeoutMs }) {
    const expression = compiled(name, pattern, flags);
    const interruptible = interrupter(timeoutMs);
    return rule(name, ({ completion }) => {
      const count = interruptible(() => {
        let found = 0;
        for (const _ of completion.matchAll(expression)) if (++found === most) break;
        return found;
      });
      return count === 0 ? miss : count * match;
    });
  },
});

function compiled(name: string, pattern: string, flags: string): RegExp {
  try {
    return new RegExp(pattern, `${flags}g`);
  } catch (error) {
    throw badOption(name, 'pattern', `a regular expression (${messageOf(error)})`, pattern);
  }
}
