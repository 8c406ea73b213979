import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tokenizer } from '@kelpie/policy';
import { UsageError } from './exit.js';
import { grouped } from './print.js';

/** Vocabularies are padded, but hardly to more than this many times what the tokenizer knows. */
const padding = 2;

/**
 * Whether a tokenizer can be that of a model whose vocabulary has so many entries; what is odd about it comes back as
 * warnings. Throws a `UsageError` where ordinary texts would become ids that are no entries: by pieces of the vocabulary,
 * by what every text begins with, by the end token. Added tokens that the model was not enlarged for, `<pad>` say, are told
 * only: nothing but their own text becomes them. A model may have entries that no token stands for.
 */
export function vocabularyWarnings(tokenizer: Tokenizer, entries: number): string[] {
  const { vocabularySize: tokens, eosTokenId: end, folder } = tokenizer;
  const called = (id: number) => `\`${tokenizer.tokenText(id) ?? ''}\` (id ${id})`;
  const refuse = (why: string) => {
    throw new UsageError(
      `the tokenizer in \`${folder}\` is not the model's: ${why}, but the model's vocabulary has ${grouped(entries)} entries; name the model's own with \`--tokenizer\``,
    );
  };
  if (end !== undefined && end >= entries) refuse(`its end token is ${called(end)}`);
  if (padding * tokens < entries) {
    const sizes = `has ${grouped(tokens)} tokens, and the model's vocabulary ${grouped(entries)} entries`;
    return [`the tokenizer in \`${folder}\` ${sizes}: is it the model's own?`];
  }
  if (tokens <= entries) return [];
  const always = tokenizer.encode('').find((id) => id >= entries);
  if (always !== undefined) refuse(`every text gets ${called(always)}`);
  const { pieces, added } = idsBeyond(tokenizer, entries);
  if (pieces.length > 0) refuse(`its pieces go up to ${called(pieces.at(-1)!)}`);
  if (added.length === 0) return [];
  const shown = added.slice(0, 3).map(called).join(', ');
  const others = added.length > 3 ? ` and ${grouped(added.length - 3)} more` : '';
  const beyond = `beyond the model's vocabulary of ${grouped(entries)} entries`;
  return [`the tokenizer in \`${folder}\` has added tokens ${beyond}, ${shown}${others}: rows with them are refused`];
}

interface TokenizerFile {
  readonly model: { readonly vocab: Record<string, number> | [piece: string, score: number][] };
  readonly added_tokens?: readonly { readonly id: number }[] | null;
}

/** Ids that are no entries: those of pieces that any text may be cut into, and those of tokens apart from these. */
function idsBeyond(tokenizer: Tokenizer, entries: number): { readonly pieces: number[]; readonly added: number[] } {
  const text = readFileSync(join(tokenizer.folder, 'tokenizer.json'), 'utf8');
  const { model, added_tokens: listed } = JSON.parse(text.replace(/^\ufeff/, '')) as TokenizerFile;
  const { vocab } = model;
  const vocabulary = new Set(Array.isArray(vocab) ? vocab.map((_, id) => id) : Object.values(vocab));
  const apart = new Set([...(listed ?? []).map(({ id }) => id), ...tokenizer.specialTokenIds]);
  const beyond = Array.from({ length: tokenizer.vocabularySize - entries }, (_, i) => entries + i);
  return {
    pieces: beyond.filter((id) => vocabulary.has(id) && !apart.has(id)),
    added: beyond.filter((id) => tokenizer.tokenText(id) !== undefined && (apart.has(id) || !vocabulary.has(id))),
  };
}
