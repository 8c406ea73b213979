import { readFile } from 'node:fs/promises';
import { messageOf } from '@kelpie/policy';
import { z } from 'zod';
import { RewardError, show } from '../error.js';
import { rule } from '../rule.js';
import { defineSource } from '../source.js';

/**
 * Sentiment by a list of words with a valence each, as VADER's (Hutto and Gilbert 2014, AAAI ICWSM), words not in it being 0.
 *   mean       Σ valence / words, 0 without a word
 *   sum        Σ valence
 *   compound   s/√(s² + 15), s the sum: in -1..1, VADER's way to bound it
 * With `negation`, each negator among the three words before turns a valence and takes a quarter off it (factor -0.74, as
 * VADER). Capitals, boosters and idioms count for nothing.
 */
export const lexicon = defineSource({
  name: 'lexicon',
  summary: 'sentiment by a list of words with valences, as VADER',
  options: {
    file: z.string().min(1).describe('A word, a tab and its valence on each line; further columns are left alone.'),
    score: z.enum(['mean', 'sum', 'compound']).default('mean').describe('What is made of the valences.'),
    words: z
      .enum(['letters', 'spaced'])
      .default('letters')
      .describe(
        'Runs of letters and apostrophes; or what white space parts, without punctuation unless listed, as `:)`.',
      ),
    negation: z.boolean().default(false).describe('Whether `not good` counts against.'),
  },
  async open({ name, file, score, words, negation }) {
    const valences = await readLexicon(name, file);
    const turn = negation ? turnOf : () => 1;
    return rule(name, ({ completion }) => {
      const found = words === 'letters' ? letters(completion) : spaced(completion, valences);
      const sum = found.reduce((total, word, at) => {
        const valence = valences.get(word) ?? 0;
        return valence === 0 ? total : total + valence * turn(found, at);
      }, 0);
      return scores[score](sum, found.length);
    });
  },
});

const scores: Readonly<Record<'mean' | 'sum' | 'compound', (sum: number, words: number) => number>> = {
  mean: (sum, words) => sum / Math.max(words, 1),
  sum: (sum) => sum,
  compound: (sum) => sum / Math.sqrt(sum * sum + 15),
};

const negators =
  /^(?:not|no|never|none|nor|neither|nobody|nothing|nowhere|cannot|without|hardly|barely|rarely|seldom|.+n't)$/;

/** -0.74 to the power of the negators among the three words before. */
function turnOf(words: readonly string[], at: number): number {
  return (-0.74) ** words.slice(Math.max(0, at - 3), at).filter((word) => negators.test(word)).length;
}

const straight = (text: string): string => text.replaceAll('’', "'");

function letters(text: string): readonly string[] {
  return (
    straight(text)
      .toLowerCase()
      .match(/[\p{L}\p{M}']+/gu) ?? []
  );
}

/** As it stands if listed, else in lower case without the punctuation around it. */
function spaced(text: string, valences: ReadonlyMap<string, number>): readonly string[] {
  const pieces = straight(text)
    .split(/\s+/)
    .filter((piece) => piece !== '');
  return pieces.map((piece) => {
    const forms = [piece, piece.toLowerCase(), piece.toLowerCase().replace(/^[\p{P}\p{S}]+|[\p{P}\p{S}]+$/gu, '')];
    return forms.find((form) => valences.has(form)) ?? forms[2]!;
  });
}

/** Of a word that is listed twice the later line counts, as in VADER's own reader. */
async function readLexicon(name: string, file: string): Promise<ReadonlyMap<string, number>> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new RewardError(`reward \`${name}\`: no lexicon can be read from \`${file}\`: ${messageOf(cause)}`, {
      code: 'bad-file',
      reward: name,
      cause,
    });
  });
  const entries = text.split(/\r?\n/).flatMap((line, at) => {
    if (line.trim() === '') return [];
    const [word = '', value = ''] = line.split('\t');
    const valence = value.trim() === '' ? Number.NaN : Number(value);
    if (word !== '' && Number.isFinite(valence)) return [[word, valence] as const];
    throw new RewardError(
      `reward \`${name}\`: ${file}:${at + 1}: expected a word, a tab and a number, got ${show(line)}.`,
      { code: 'bad-file', reward: name },
    );
  });
  if (entries.length > 0) return new Map(entries);
  throw new RewardError(`reward \`${name}\`: \`${file}\` has no words.`, { code: 'bad-file', reward: name });
}
