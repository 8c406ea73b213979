import { type Needs, preferenceCalibrationError } from '@kelpie/objectives';
import { pathsOf, type Tokenizer, treeOf } from '@kelpie/policy';
import type { Example, Part } from './rows.js';

/** Whether an objective reads values alone: it trains what judges sequences, and no language model is needed. */
export function judgesSequences({ policy }: Pick<Needs, 'policy'>): boolean {
  return policy.length > 0 && policy.every((name) => name === 'values');
}

/**
 * The example with one more token behind each completion, whose value is that of the sequence: the scalar head reads the
 * hidden state of the last token that is not the padding id, as sequence classification in transformers does.
 */
export function asJudged(example: Example, padTokenId?: number): Example {
  const sequences = pathsOf(example.tree).map(({ ids }) => {
    const length = Math.max(1, ids.findLastIndex((id) => id !== padTokenId) + 1);
    return { ids: [...ids.slice(0, length), 0], scoreFrom: length };
  });
  return { ...example, tree: treeOf(sequences) };
}

/** What a classifier's rows are padded with: the tokenizer's own padding id, else its end token. */
export function padTokenOf({ padTokenId, eosTokenId }: Pick<Tokenizer, 'padTokenId' | 'eosTokenId'>): number {
  return padTokenId ?? eosTokenId ?? 0;
}

/** Of pairs that are no ties: how far σ(|margin|) is from how often the higher reward is the chosen one's. */
export function calibrationOf(
  parts: readonly Pick<Part, 'rows' | 'tokens' | 'perRow'>[],
  values: readonly Float64Array[],
): number {
  const margins = parts.flatMap(({ rows, tokens, perRow: { ranks } }, part) => {
    const judged = (row: number) => values[part]![row * tokens]!;
    const pairs = Array.from({ length: rows / 2 }, (_, pair) => [2 * pair, 2 * pair + 1] as const);
    const decided = pairs.filter(([chosen, rejected]) => ranks === undefined || ranks[chosen] !== ranks[rejected]);
    return decided.map(([chosen, rejected]) => judged(chosen) - judged(rejected));
  });
  return preferenceCalibrationError(Float64Array.from(margins));
}
