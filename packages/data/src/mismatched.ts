import { type TokenTree, treeOf } from '@kelpie/policy';
import { DataError } from './error.js';
import type { Rendered } from './template.js';
import { type Encoder, tokenize } from './tokenize.js';
import { type Truncation, truncate } from './truncate.js';

export interface MismatchOptions {
  readonly encoder: Encoder;
  readonly maxLength: number;
  /** Rows that would be dropped are cut at their end: a mismatched row only measures. */
  readonly rule: Truncation;
  readonly bosTokenId?: number | undefined;
}

/**
 * Of each row its prompt with another row's completions, as many as it has itself: those of the nearest row before it, from
 * the first one back to the last, that has another prompt. TRL pairs each row of a micro-batch with the one before it
 * whatever its prompt, so that of rows with a common prompt, as unpaired pairs are, half are no mismatch at all; and the
 * pairing there depends on the batch size.
 */
export function mismatched(rows: readonly Rendered[], options: MismatchOptions): TokenTree[] {
  return rows.map((row, i) => {
    for (let back = 1; back < rows.length; back++) {
      const other = rows[(i - back + rows.length) % rows.length] as Rendered;
      if (other.prompt === row.prompt || other.templated !== row.templated) continue;
      const tree = joined(row, other, options);
      if (tree !== undefined) return tree;
    }
    throw new DataError('Rows with one prompt alone cannot be mismatched.', {
      code: 'cannot-mismatch',
      expected: 'rows of at least two prompts',
      received: `${rows.length} rows, none of whose completions fits another prompt`,
      remedy: 'Add rows with other prompts, or train an objective that reads no mismatched rows.',
    });
  });
}

function joined(
  { prompt, completions, templated }: Rendered,
  other: Rendered,
  { encoder, maxLength, rule, bosTokenId }: MismatchOptions,
): TokenTree | undefined {
  const theirs = completions.map((_, i) => other.completions[i % other.completions.length] as string);
  const { sequences } = tokenize({ prompt, completions: theirs, templated }, encoder);
  const keeps = rule === 'prompt-start' ? rule : 'end';
  const cut = truncate(sequences, { maxLength, rule: keeps, bosTokenId });
  if ('reason' in cut || cut.sequences.some(({ ids, scoreFrom }) => ids.length <= scoreFrom)) return undefined;
  return treeOf(cut.sequences);
}
