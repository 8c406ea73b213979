import type { Tokenizer as Engine } from '@huggingface/tokenizers';
import { KelpieError } from '../errors.js';
import { isJsonObject, type JsonObject } from './json.js';

/**
 * Where @huggingface/tokenizers 0.2.0 and the Rust library (0.23), which wrote the files, part ways: what goes into the
 * engine is completed before, and its table of added tokens set right after.
 */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly [key: string]: unknown;
}

export interface PreparedTokenizer extends JsonObject {
  readonly added_tokens: readonly AddedToken[];
}

/**
 * - Keys that may be absent are set to null, which the engine insists on.
 * - Tokens that only tokenizer_config.json names (`added_tokens_decoder`, `bos_token` ...) are added. As in transformers,
 *   what tokenizer.json already has stays as it is, flags included.
 */
export function prepareTokenizer(
  json: JsonObject,
  config: JsonObject,
  special: readonly string[],
  file: string,
): PreparedTokenizer {
  const { model } = json;
  if (!isJsonObject(model) || !isVocabulary(model.vocab)) {
    throw new KelpieError(
      'expected `model` with a `vocab` from texts to ids, or of [text, score], as the tokenizers library writes it',
      {
        code: 'tokenizer',
        where: { file, key: 'model.vocab' },
      },
    );
  }
  const listed: unknown = json.added_tokens ?? [];
  if (!Array.isArray(listed) || !listed.every(isAddedToken)) {
    throw new KelpieError('expected `added_tokens` to be a list of objects with `id` and `content`', {
      code: 'tokenizer',
      where: { file, key: 'added_tokens' },
    });
  }
  requirePatterns(json, file);
  const added: AddedToken[] = listed.map((token) => ({ ...token, special: token.special === true }));
  const vocabulary = idsOf(model.vocab);
  const contents = new Set(added.map((token) => token.content));
  let next = [...vocabulary.values(), ...added.map((token) => token.id)].reduce((a, b) => Math.max(a, b), -1) + 1;
  const add = (content: string, flags: JsonObject, wanted?: number): void => {
    if (contents.has(content)) return;
    const id = vocabulary.get(content) ?? wanted ?? next;
    if (wanted !== undefined && id !== wanted) {
      throw new KelpieError(`\`added_tokens_decoder\` gives it the id ${wanted}, but the vocabulary ${id}`, {
        code: 'tokenizer',
        where: { file, token: content },
      });
    }
    contents.add(content);
    next = Math.max(next, id + 1);
    added.push({ ...flags, content, id, special: flags.special === true });
  };
  const decoder = isJsonObject(config.added_tokens_decoder) ? config.added_tokens_decoder : {};
  for (const [id, token] of Object.entries(decoder)) {
    if (isJsonObject(token) && typeof token.content === 'string') add(token.content, token, Number(id));
  }
  for (const content of special) add(content, { special: true, normalized: false });
  requireDense([...vocabulary, ...added.map(({ content, id }) => [content, id] as const)], file);
  return {
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    ...json,
    added_tokens: added,
  };
}

/**
 * The little that the engine may know of tokenizer_config.json; it would apply the rest where the Rust library does not.
 * Its `WordLevel` looks for the unknown token here instead of in the model. Unset means no clean-up of spaces, as in
 * transformers since 4.45; the engine's own default is the older one.
 */
export function engineConfig(
  json: JsonObject,
  config: JsonObject,
  special: Readonly<Record<string, string>>,
): JsonObject {
  const { model } = json;
  const unknown = isJsonObject(model) && model.type === 'WordLevel' ? { unk_token: model.unk_token } : {};
  return { ...special, ...unknown, clean_up_tokenization_spaces: config.clean_up_tokenization_spaces === true };
}

function isAddedToken(value: unknown): value is AddedToken {
  return isJsonObject(value) && typeof value.content === 'string' && isId(value.id);
}

/** The Rust library's ids have 32 bits. */
function isId(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 32;
}

/** The engine makes a table up to the largest id: one wild id would take all memory. */
function requireDense(tokens: readonly (readonly [string, number])[], file: string): void {
  const limit = Math.max(2 ** 20, 4 * tokens.length);
  const wild = tokens.find(([, id]) => !(id < limit));
  if (wild === undefined) return;
  throw new KelpieError(`expected ids below ${limit} for ${tokens.length} tokens, got ${wild[1]}`, {
    code: 'tokenizer',
    where: { file, token: wild[0] },
  });
}

function isVocabulary(value: unknown): boolean {
  if (!Array.isArray(value)) return isJsonObject(value) && Object.values(value).every(isId);
  return value.every((entry) => Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number');
}

/** The engine takes a pattern that it does not know for none, and so cuts text otherwise. */
function requirePatterns(json: JsonObject, file: string): void {
  const visit = (value: unknown, key: string): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [name, inner] of Object.entries(value)) {
      const at = key === '' ? name : `${key}.${name}`;
      if (name === 'pattern' && !isPattern(inner)) {
        throw new KelpieError('expected a `pattern` with a `Regex` or a `String`', {
          code: 'tokenizer',
          where: { file, key: at },
        });
      }
      visit(inner, at);
    }
  };
  for (const key of engineParts) visit(json[key], key);
}

function isPattern(value: unknown): boolean {
  return isJsonObject(value) && [value.Regex, value.String].some((text) => typeof text === 'string');
}

/** The parts that may be left out. */
export const engineParts = ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'] as const;

/** Ids by text: of an object, or of Unigram's list of [text, score]. */
function idsOf(vocabulary: unknown): Map<string, number> {
  if (Array.isArray(vocabulary)) return new Map(vocabulary.map((entry: unknown[], id) => [String(entry[0]), id]));
  return new Map(Object.entries(vocabulary as Record<string, number>));
}

/**
 * An added token with `normalized` is searched in normalised text by its normalised text (`▁<|end|>`), which is also
 * what it decodes to. The engine takes its plain text for it too, wherever a piece of text between two others happens to
 * be just that, and decodes to the plain text. Returns the plain texts by id.
 */
export function repairAddedTokens(engine: Engine): Map<number, string> {
  const plain = new Map<number, string>();
  const { normalizer, model } = engine;
  if (normalizer === null || model === null) return plain;
  // Not public in the types; a test holds it to the Rust library's results.
  const { added_tokens_map: byText } = engine as unknown as { added_tokens_map: Map<string, { content: string }> };
  for (const [id, token] of engine.get_added_tokens_decoder()) {
    plain.set(id, token.content);
    if (!token.normalized) continue;
    const normalized = normalizer(token.content);
    if (normalized === token.content) continue;
    if (byText.get(token.content)?.content === token.content) byText.delete(token.content);
    model.vocab[id] = normalized;
  }
  return plain;
}
