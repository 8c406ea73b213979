import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as Engine } from '@huggingface/tokenizers';
import { KelpieError, messageOf } from '../errors.js';
import { type ChatMessage, type ChatOptions, type ChatTemplate, readChatTemplate } from './chat-template.js';
import { readGenerationConfig, type SpecialTokenIds, specialTokenIds } from './generation-config.js';
import { isJsonObject, type JsonObject, readJsonFile } from './json.js';
import { engineConfig, engineParts, prepareTokenizer, repairAddedTokens } from './tokenizer-engine.js';

export interface EncodeOptions {
  /** What the post-processor of tokenizer.json adds, usually a begin token. Default true. */
  readonly addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Default false. */
  readonly skipSpecialTokens?: boolean;
}

export interface Tokenizer {
  encode(text: string, options?: EncodeOptions): number[];
  /** Ids without a token are left out, as in the Rust library: a padded model may write them. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** One more than the largest id, added tokens included. A model may have more rows than that. */
  readonly vocabularySize: number;
  readonly bosTokenId?: number;
  /** The tokenizer's own end token, as in its config; else the first that the model's configs name. */
  readonly eosTokenId?: number;
  readonly padTokenId?: number;
  readonly unkTokenId?: number;
  /**
   * Every id that ends a completion: of generation_config.json, if it names any, else the tokenizer's end token, else
   * those of config.json.
   */
  readonly eosTokens: readonly number[];
  /** A token's text as the vocabulary has it (`▁the`, `Ġthe`, `<0x0A>`). */
  tokenText(id: number): string | undefined;
  tokenId(text: string): number | undefined;
  /** Ids whose text is markup, left out by `skipSpecialTokens`. */
  readonly specialTokenIds: ReadonlySet<number>;
  /** Source of the default chat template. */
  readonly chatTemplate?: string;
  /** The text of a conversation. Encode it with `addSpecialTokens: false`: templates write their own begin token. */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatOptions): string;
  /** sha256 over the names and bytes of `files`. */
  readonly hash: string;
  readonly folder: string;
  /** Names of the files in `folder` that this tokenizer was read from; to be copied when a model is saved. */
  readonly files: readonly string[];
}

const roles = ['bos', 'eos', 'pad', 'unk', 'sep', 'cls', 'mask'] as const;

/**
 * Opens the tokenizer of a model folder: `tokenizer.json`, and where present `tokenizer_config.json`,
 * `special_tokens_map.json`, `generation_config.json` and the chat template. What is text and what is a token is
 * tokenizer.json's to say, as in the Rust library; tokens that only `added_tokens_decoder` or a special token of the
 * config names are added to it, as transformers does. `add_bos_token` is not read: the post-processor decides. Begin, end
 * and padding that the tokenizer's files leave unnamed are those of the model's generation_config.json or config.json:
 * without an end token nothing would teach a model to stop.
 */
export async function openTokenizer(folder: string): Promise<Tokenizer> {
  const file = join(folder, 'tokenizer.json');
  const json = await readJsonFile(file);
  const config = (await readJsonFile(join(folder, 'tokenizer_config.json'), { optional: true })) ?? {};
  const map = (await readJsonFile(join(folder, 'special_tokens_map.json'), { optional: true })) ?? {};
  const generation = (await readGenerationConfig(folder)) ?? {};
  const modelFile = join(folder, 'config.json');
  const model = (await readJsonFile(modelFile, { optional: true })) ?? {};
  const special = specialTokens({ ...map, ...config });

  const prepared = prepareTokenizer(json, config, [...Object.values(special), ...additionalTokens(config)], file);
  const engine = startEngine(prepared, engineConfig(prepared, config, special), file);
  const repaired = repairAddedTokens(engine);
  const vocabulary = engine.get_vocab();
  const ofEngine = <Result>(use: () => Result): Result => {
    try {
      return use();
    } catch (error) {
      throw new KelpieError(`the tokenizer fails at this text: ${messageOf(error)}`, {
        code: 'tokenizer',
        where: { file, key: 'model' },
        cause: error,
      });
    }
  };
  const idOf = (role: (typeof roles)[number]): number | undefined => {
    const text = special[`${role}_token`];
    return text === undefined ? undefined : engine.token_to_id(text);
  };
  const specialIds = new Set(prepared.added_tokens.filter((token) => token.special).map((token) => token.id));
  const ofModel = specialTokenIds(model, generation, { file: modelFile, isSpecial: (id) => specialIds.has(id) });
  const ends = endTokens(idOf('eos'), ofModel, (generation.eos_token_id ?? null) !== null);
  const chat = await readChatTemplate(folder, config, special);
  const { files, hash } = await hashFiles(folder, chat.files);
  const tokenText = (id: number): string | undefined => repaired.get(id) ?? engine.id_to_token(id);
  const size = vocabulary.size === 0 ? 0 : [...vocabulary.values()].reduce((a, b) => Math.max(a, b)) + 1;

  return {
    encode: (text, { addSpecialTokens = true } = {}) => {
      const ids: (number | undefined)[] = ofEngine(
        () => engine.encode(text, { add_special_tokens: addSpecialTokens }).ids,
      );
      if (!ids.every((id) => id !== undefined)) {
        throw new KelpieError('the text holds what the vocabulary lacks, and there is no unknown token', {
          code: 'tokenizer-unknown',
          where: { file, key: 'model.vocab' },
        });
      }
      return ids;
    },
    decode: (ids, { skipSpecialTokens = false } = {}) => {
      for (const id of ids) {
        if (Number.isInteger(id) && id >= 0) continue;
        throw new KelpieError(`expected ids, whole numbers from 0, got ${id}`, {
          code: 'tokenizer-id',
          where: { file, key: 'model.vocab' },
        });
      }
      const kept = ids.filter((id) => tokenText(id) !== undefined && !(skipSpecialTokens && specialIds.has(id)));
      return kept.length === 0 ? '' : ofEngine(() => engine.decode(kept));
    },
    vocabularySize: size,
    ...optional('bosTokenId', idOf('bos') ?? ofModel.bosTokenId),
    ...optional('eosTokenId', ends.trained),
    ...optional('padTokenId', idOf('pad') ?? ofModel.padTokenId),
    ...optional('unkTokenId', idOf('unk') ?? engine.model?.unk_token_id),
    eosTokens: ends.all,
    tokenText,
    tokenId: (text) => engine.token_to_id(text),
    specialTokenIds: specialIds,
    ...optional('chatTemplate', chat.template?.source),
    applyChatTemplate: (messages, options) => requireTemplate(chat.template, folder).render(messages, options),
    hash,
    folder,
    files,
  };
}

/** A begin token among the model's end tokens ends one text by beginning the next: it is not the one to train. */
function endTokens(
  own: number | undefined,
  { eosTokenIds, bosTokenId }: SpecialTokenIds,
  fromGeneration: boolean,
): { readonly trained: number | undefined; readonly all: readonly number[] } {
  const trained = own ?? eosTokenIds.find((id) => id !== bosTokenId) ?? eosTokenIds[0];
  const all = own !== undefined && !(fromGeneration && eosTokenIds.length > 0) ? [own] : eosTokenIds;
  return { trained, all };
}

type SpecialTokens = Record<string, string>;

function additionalTokens(config: JsonObject): string[] {
  const lists = [config.additional_special_tokens, config.extra_special_tokens];
  return lists
    .filter(Array.isArray)
    .flat()
    .map(textOf)
    .filter((text) => text !== undefined);
}

/** `bos_token` and the like, as text; the config may hold them as text or as an object. */
function specialTokens(config: JsonObject): SpecialTokens {
  const result: SpecialTokens = {};
  for (const role of roles) {
    const key = `${role}_token`;
    const text = textOf(config[key]);
    if (text !== undefined) result[key] = text;
  }
  return result;
}

function textOf(token: unknown): string | undefined {
  const text = isJsonObject(token) ? token.content : token;
  return typeof text === 'string' ? text : undefined;
}

function startEngine(json: JsonObject, config: JsonObject, file: string): Engine {
  try {
    return tried(json, config);
  } catch (error) {
    throw new KelpieError(`the tokenizer cannot be built: ${messageOf(error)}`, {
      code: 'tokenizer',
      where: { file, key: culprit(json, config) },
      cause: error,
    });
  }
}

/** The engine reads some of its file only when it is first used. */
function tried(json: JsonObject, config: JsonObject): Engine {
  const engine = new Engine(json, config);
  const ids: (number | undefined)[] = engine.encode('a b', { add_special_tokens: true }).ids;
  engine.decode([...ids.filter((id) => id !== undefined), 0]);
  return engine;
}

/** The part without which the tokenizer could be built. */
function culprit(json: JsonObject, config: JsonObject): string {
  const builds = (part: string) => {
    try {
      return tried({ ...json, [part]: null }, config) !== undefined;
    } catch {
      return false;
    }
  };
  return engineParts.find(builds) ?? 'model';
}

function requireTemplate(template: ChatTemplate | undefined, folder: string): ChatTemplate {
  if (template !== undefined) return template;
  throw new KelpieError(
    'this tokenizer has no chat template: put one into `chat_template.jinja`, or train on plain prompts',
    { code: 'chat-template', where: { folder } },
  );
}

async function hashFiles(folder: string, chatFiles: readonly string[]): Promise<{ files: string[]; hash: string }> {
  const names = [
    'tokenizer.json',
    'tokenizer_config.json',
    'special_tokens_map.json',
    'generation_config.json',
    ...chatFiles,
  ];
  const sum = createHash('sha256');
  const files: string[] = [];
  for (const name of names) {
    const bytes = await readFile(join(folder, name)).catch(() => undefined);
    if (bytes === undefined) continue;
    files.push(name);
    sum.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return { files, hash: sum.digest('hex') };
}

function optional<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { readonly [Key in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [Key in Name]?: Value };
}
