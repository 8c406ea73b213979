import type { RowKind } from '@kelpie/objectives';
import { treeOf } from '@kelpie/policy';
import type { Example } from '@kelpie/runner';
import type { Fields } from './fields.js';

/** Names of a row's completions, in the order of the objective's rows. */
const sides: { readonly [Kind in RowKind]?: readonly string[] } = {
  pairs: ['chosen', 'rejected'],
  single: ['completion'],
};

/** The recorded ids as trees; what stands behind the prompt counts, but for a sequence's first token. */
export function examplesOf(kind: RowKind, rows: readonly Fields[], maxLength: number): Example[] {
  return rows.map((row, i) => {
    row.unused('text');
    const prompt = row.numbers('prompt');
    const sequences = sides[kind]!.map((side) => ({
      ids: [...prompt, ...row.numbers(side)],
      scoreFrom: Math.max(1, prompt.length),
    }));
    row.requireAllRead();
    const longest = Math.max(...sequences.map(({ ids }) => ids.length));
    if (longest > maxLength) throw new Error(`rows[${i}] has ${longest} ids, max_length is ${maxLength}`);
    return { id: `row ${i}`, tree: treeOf(sequences) };
  });
}
