import { z } from 'zod';
import { show } from '../error.js';
import { lastNumber } from '../last-number.js';
import type { RewardRow } from '../reward.js';
import { rule } from '../rule.js';
import { defineSource } from '../source.js';

/**
 * Whether a completion gives the answer that its row has in a field: one answer, or a list of which any is right.
 *   number   the last number of the completion against the last number of the field, as in GSM8K (`#### 42`)
 *   text     the same text but for case, width (NFKC), white space, and punctuation around it
 *   exact    the same text but for white space around it
 * A completion without an answer is wrong. A row without the field, or with no number in it, is an error.
 */
export const exactAnswer = defineSource({
  name: 'exact-answer',
  summary: 'the right answer: a text, or the last number, against a field of the row',
  options: {
    field: z.string().min(1).default('answer').describe("The row's field that holds the answer, or a list of them."),
    compare: z.enum(['number', 'text', 'exact']).default('text').describe('What must be the same.'),
    after: z.string().min(1).optional().describe('Text before the answer: only what follows its last use counts.'),
    tolerance: z.number().min(0).default(0).describe('How far a number may be off, relative to the right one.'),
    right: z.number().default(1).describe('The reward of the right answer.'),
    wrong: z.number().default(0).describe('The reward of any other.'),
  },
  open({ name, field, compare, after, tolerance, right, wrong }) {
    const same = comparisons[compare];
    return rule(name, (row) => {
      const answers = answersOf(row, field);
      const at = after === undefined ? 0 : row.completion.lastIndexOf(after);
      if (at < 0) return wrong;
      const given = row.completion.slice(at + (after?.length ?? 0));
      return answers.filter((answer) => same(given, answer, tolerance)).length > 0 ? right : wrong;
    });
  },
});

type Comparison = (given: string, answer: string, tolerance: number) => boolean;

const comparisons: Readonly<Record<'number' | 'text' | 'exact', Comparison>> = {
  number(given, answer, tolerance) {
    const wanted = lastNumber(answer);
    if (wanted === undefined) throw new TypeError(`expected an answer with a number, got ${show(answer)}`);
    const found = lastNumber(given);
    return found !== undefined && Math.abs(found - wanted) <= tolerance * Math.abs(wanted);
  },
  text: (given, answer) => plain(given) === plain(answer),
  exact: (given, answer) => given.trim() === answer.trim(),
};

function answersOf({ meta }: RewardRow, field: string): readonly string[] {
  const value = meta[field];
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length > 0 && list.every((one) => typeof one === 'string' || typeof one === 'number'))
    return list.map(String);
  throw new TypeError(`\`meta.${field}\`: expected text, a number or a list of them, got ${show(value)}`);
}

function plain(text: string): string {
  const words = text.normalize('NFKC').toLowerCase().split(/\s+/).join(' ');
  return words.replace(/^[\p{P}\s]+|[\p{P}\s]+$/gu, '');
}
