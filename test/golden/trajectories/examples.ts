import type { RowKind } from '@kelpie/objectives';
import { treeOf } from '@kelpie/policy';
import type { Example } from '@kelpie/runner';
import type { Fields } from './fields.js';

/** Names of a row's completions, in the order of the objective's rows. */
const sides: { readonly [Kind in RowKind]?: readonly string[] } = {
  pairs: ['chosen', 'rejected'],
  single: ['completion'],
  unpaired: ['completion'],
};

/** The recorded ids as trees; what stands behind the prompt counts, but for a sequence's first token. */
export function examplesOf(kind: RowKind, rows: readonly Fields[], maxLength: number): Example[] {
  return rows.map((row, i) => {
    row.unused('text');
    const prompt = row.numbers('prompt');
    // A side that begins to count elsewhere than the other has a prompt of its own.
    const promptOf = (side: string) => (row.has(`${side}_prompt`) ? row.numbers(`${side}_prompt`) : prompt);
    const sequences = sides[kind]!.map((side) => sequenceOf(promptOf(side), row.numbers(side)));
    const mismatched = row.has('kl_completion') ? sequenceOf(prompt, row.numbers('kl_completion')) : undefined;
    const labels = kind === 'unpaired' ? [row.boolean('label') ? 1 : 0] : undefined;
    row.requireAllRead();
    const longest = Math.max(...sequences.map(({ ids }) => ids.length));
    if (longest > maxLength) throw new Error(`rows[${i}] has ${longest} ids, max_length is ${maxLength}`);
    return {
      id: `row ${i}`,
      tree: treeOf(sequences),
      ...(labels && { labels }),
      ...(mismatched && { mismatched: treeOf([mismatched]) }),
    };
  });
}

/**
 * Pairs of whole sequences, each judged at its last token that is not the padding id: a token stands behind it whose value
 * is the sequence's.
 */
export function rewardExamples(rows: readonly Fields[], padTokenId: number, maxLength: number): Example[] {
  return rows.map((row, i) => {
    row.unused('text');
    const sides = ['chosen', 'rejected'].map((side) => row.numbers(side));
    const margin = row.has('margin') ? row.number('margin') : undefined;
    row.requireAllRead();
    const longest = Math.max(...sides.map((ids) => ids.length));
    if (longest > maxLength) throw new Error(`rows[${i}] has ${longest} ids, max_length is ${maxLength}`);
    return {
      id: `row ${i}`,
      tree: treeOf(sides.map((ids) => judgedSequence(ids, padTokenId))),
      ...(margin !== undefined && { margins: [margin, margin] }),
    };
  });
}

function judgedSequence(ids: readonly number[], padTokenId: number) {
  const length = Math.max(1, ids.findLastIndex((id) => id !== padTokenId) + 1);
  return { ids: [...ids.slice(0, length), 0], scoreFrom: length };
}

function sequenceOf(prompt: readonly number[], completion: readonly number[]) {
  return { ids: [...prompt, ...completion], scoreFrom: Math.max(1, prompt.length) };
}
