import type { Sequence } from '@kelpie/policy';
import { DataError, type Where } from './error.js';
import type { Rendered } from './template.js';
import type { TextTokenizer } from './tokenizer.js';

/**
 * Where a pair's sides begin to count. `shared`, as TRL's DPO: both at the earlier place. `per-side`: each where its own
 * encoding parts from the prompt's.
 */
export type ScoreFrom = 'shared' | 'per-side';

export interface Encoder {
  /** Ids of a text on its own, without an end token. */
  encode(text: string, templated: boolean): number[];
  /** Ids of a text that ends here: the last one is the end token, unless a template wrote its own ending. */
  encodeEnded(text: string, templated: boolean): number[];
}

export interface Tokenized {
  /** One per completion, in order. */
  readonly sequences: readonly Sequence[];
  /** Tokens of the prompt on its own. */
  readonly promptTokens: number;
  /** Tokens at the prompt's end that an encoding of prompt and completion does not have: they count as completion. */
  readonly mergedTokens: number;
}

/** A tokenizer without an unknown token throws at what its vocabulary lacks, which may be any letter. */
function encodes(tokenizer: TextTokenizer, text: string): boolean {
  try {
    tokenizer.encode(text);
    return true;
  } catch {
    return false;
  }
}

/** The tokenizer's habits, looked up once. */
export function encoderOf(tokenizer: TextTokenizer): Encoder {
  const { eosTokenId: end } = tokenizer;
  const bare = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  // Some post-processors close every text with the end token: a prompt must not have it, nor a completion twice.
  const probe = ['a', ''].find((text) => encodes(tokenizer, text));
  const closes =
    end !== undefined && probe !== undefined && tokenizer.encode(probe).at(-1) === end && bare(probe).at(-1) !== end;
  const encode = (text: string, templated: boolean) => {
    if (templated) return bare(text);
    const ids = tokenizer.encode(text);
    return closes ? ids.slice(0, -1) : ids;
  };
  if (end === undefined) return { encode, encodeEnded: encode };
  // As text, like TRL, so that spaces around it are treated as the tokenizer would. But some tokenizers split the end
  // token's text, or know it only at a text's beginning (where it is normalised like any text): then its id is appended.
  const name = tokenizer.tokenText(end) ?? '';
  const known =
    probe === 'a' && encodes(tokenizer, `a${name}`) && [...bare('a'), end].join() === bare(`a${name}`).join();
  const encodeEnded = (text: string, templated: boolean) => {
    if (templated) return bare(text);
    const open = name !== '' && text.endsWith(name) ? text.slice(0, -name.length) : text;
    return known ? encode(open + name, false) : [...encode(open, false), end];
  };
  return { encode, encodeEnded };
}

function sharedLength(a: readonly number[], b: readonly number[]): number {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  return i;
}

/**
 * Encodes the prompt, and the prompt with each completion; a completion begins where the two encodings part. So the ids
 * are those the tokenizer gives the text, also where pieces span the boundary, and the tail of the prompt that merged
 * counts as completion. The first token is never a target.
 */
export function tokenize(
  { prompt, completions, templated }: Rendered,
  encoder: Encoder,
  { scoreFrom = 'shared' }: { scoreFrom?: ScoreFrom } = {},
): Tokenized {
  const promptIds = prompt === '' ? [] : encoder.encode(prompt, templated);
  const wholes = completions.map((completion) => encoder.encodeEnded(prompt + completion, templated));
  const starts = wholes.map((ids) => sharedLength(promptIds, ids));
  const earliest = Math.min(...starts);
  const sequences = wholes.map((ids, i) => ({
    ids,
    scoreFrom: Math.max(1, scoreFrom === 'shared' ? earliest : (starts[i] as number)),
  }));
  return {
    sequences,
    promptTokens: promptIds.length,
    mergedTokens: promptIds.length - earliest,
  };
}

/** A tokenizer that is not the model's shows here, before an embedding is read beyond its end. */
export function requireVocabulary(
  sequences: readonly Sequence[],
  { size, tokenizer, where }: { size: number; tokenizer: TextTokenizer; where: Where },
): void {
  for (const { ids } of sequences) {
    const id = ids.find((candidate) => !Number.isInteger(candidate) || candidate < 0 || candidate >= size);
    if (id === undefined) continue;
    throw new DataError(
      `${where.file}:${where.line}: the tokenizer gives id ${id} (\`${tokenizer.tokenText(id)}\`), but the model's vocabulary has ${size} entries.`,
      {
        code: 'id-outside-vocabulary',
        where,
        expected: `ids below ${size}`,
        received: String(id),
        remedy: 'Use the tokenizer that belongs to the model.',
      },
    );
  }
}
