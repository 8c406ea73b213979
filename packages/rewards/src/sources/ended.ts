import { z } from 'zod';
import { rule } from '../rule.js';
import { defineSource } from '../source.js';

/** Whether a completion came to its end token, rather than being cut off at the longest length. */
export const ended = defineSource({
  name: 'ended',
  summary: 'whether the completion ended by its end token',
  options: {
    ended: z.number().default(1).describe('The reward of a completion with its end token.'),
    cut: z.number().default(0).describe('The reward of one that was cut off.'),
  },
  open: ({ name, ended, cut }) => rule(name, (row) => (row.ended ? ended : cut)),
});
