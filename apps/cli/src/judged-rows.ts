import { DataError, placeText } from '@kelpie/data';
import type { Needs } from '@kelpie/objectives';
import type { Tokenizer } from '@kelpie/policy';
import { asJudged, padTokenOf } from '@kelpie/runner';
import type { Loaded } from './train-parts.js';

type Pair = Loaded & { readonly extra?: Readonly<Record<string, unknown>> };

/** Pairs whose sides are judged as wholes, with the columns that the objective asks for: `margin`; `tie`, true or false. */
export function judgedRows(examples: readonly Loaded[], needs: Needs, tokenizer: Tokenizer): Loaded[] {
  const asks = (field: string) => needs.perRow?.some((name) => name === field) === true;
  const pad = padTokenOf(tokenizer);
  return examples.map((example) => ({
    ...example,
    ...asJudged(example, pad),
    ...(asks('margins') && { margins: both(marginOf(example)) }),
    ...(asks('ranks') && { ranks: [0, isTie(example) ? 0 : 1] }),
  }));
}

const both = (value: number) => [value, value];

function marginOf({ extra = {}, where }: Pair): number {
  const { margin } = extra;
  if (typeof margin === 'number' && Number.isFinite(margin)) return margin;
  return refuse(where, '`margin`', 'a number', margin, 'or leave `useMargin` off');
}

function isTie({ extra = {}, where }: Pair): boolean {
  const { tie = false } = extra;
  if (typeof tie === 'boolean') return tie;
  return refuse(where, '`tie`', 'true or false', tie, 'or leave the column out');
}

function refuse(where: Loaded['where'], column: string, expected: string, got: unknown, remedy: string): never {
  const received = JSON.stringify(got) ?? 'nothing';
  const place = where === undefined ? 'a row' : placeText(where);
  throw new DataError(`${place} ${column}: expected ${expected}, received ${received}.`, {
    code: 'bad-rows',
    ...(where && { where }),
    expected,
    received,
    remedy: `Give every row the column ${column}, ${remedy}.`,
  });
}
