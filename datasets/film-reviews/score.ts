/**
 * The true score of a text over the film review vocabulary: the sum of its valences, in points (see `grammar.ts`).
 *
 * A valence word takes the modifiers that stand directly before it, nearest first: `not very good` is good +2, very +3,
 * not -2. Punctuation ends the reach of a modifier. On every text of the grammar this is the generator's own score.
 *
 * A text that has left the grammar is read by the same rule and never refused: each valence word counts wherever it
 * stands, a repeated one each time, unknown words and stray modifiers count 0, case does not matter. So a policy can
 * raise the score by piling up praise; whoever uses it as a reward should look at length and repetition beside it.
 */
import { modifiers, pieces, valences } from './grammar.js';

export interface Valence {
  /** The words that were read: modifiers, then the valence word, lower case. */
  readonly words: readonly string[];
  readonly points: number;
}

export function readValences(text: string): readonly Valence[] {
  const found: Valence[] = [];
  let before: string[] = [];
  for (const raw of pieces(text)) {
    const word = raw.trim().toLowerCase();
    if (word === '') continue;
    if (modifiers.has(word)) {
      before.push(word);
      continue;
    }
    const value = valences.get(word);
    if (value !== undefined) {
      const points = before.reduceRight((sum, modifier) => modifiers.get(modifier)!(sum), value);
      found.push({ words: [...before, word], points });
    }
    before = [];
  }
  return found;
}

export const score = (text: string): number => readValences(text).reduce((sum, { points }) => sum + points, 0);
