import { join } from 'node:path';
import { KelpieError } from '../errors.js';
import { isJsonObject, type JsonObject, readJsonFile } from './json.js';

/** Token ids that say where a text begins, ends and is filled up. */
export interface SpecialTokenIds {
  /** Any of them ends a completion; empty if the model has no end. */
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId?: number;
  readonly padTokenId?: number;
}

/** What a family's config means when it does not name the ids (transformers 4.57.6 and 5.23.0). */
const defaults: Readonly<Record<string, JsonObject>> = {
  llama: { bos_token_id: 1, eos_token_id: 2 },
  gpt2: { bos_token_id: 50256, eos_token_id: 50256 },
};

export async function readGenerationConfig(folder: string): Promise<JsonObject | undefined> {
  return readJsonFile(join(folder, 'generation_config.json'), { optional: true });
}

export interface SpecialTokenOptions {
  /** Where the config comes from, for messages. */
  readonly file?: string;
  /** Whether an id that no file names, but the family has by default, may be meant. Default: any may. */
  readonly isSpecial?: (id: number) => boolean;
}

/**
 * Ids of `generation_config.json`, then of `config.json`, then the family's default; a key that is there counts, also
 * with the value null (none). A negative id is none, as is one beyond the vocabulary, which no row can hold: configs of
 * small models often keep the ids of the large one.
 */
export function specialTokenIds(
  config: JsonObject,
  generation: JsonObject = {},
  { file = 'config', isSpecial = () => true }: SpecialTokenOptions = {},
): SpecialTokenIds {
  const family = typeof config.model_type === 'string' ? (defaults[config.model_type] ?? {}) : {};
  const textConfig = isJsonObject(config.text_config) ? config.text_config : {};
  const size = config.vocab_size ?? textConfig.vocab_size;
  const ids = (key: string): number[] => {
    const given = [generation, config].find((json) => Object.hasOwn(json, key));
    const value = given === undefined ? family[key] : given[key];
    if (value === null || value === undefined) return [];
    const list: unknown[] = Array.isArray(value) ? value : [value];
    if (!list.every((id): id is number => Number.isSafeInteger(id))) {
      throw new KelpieError(`expected a token id or null, got ${JSON.stringify(value)}`, {
        code: 'config-value',
        where: { file: given === generation ? 'generation_config.json' : file, key },
      });
    }
    const inside = list.filter((id) => id >= 0 && (typeof size !== 'number' || id < size));
    return given === undefined ? inside.filter(isSpecial) : inside;
  };
  const [bos] = ids('bos_token_id');
  const [pad] = ids('pad_token_id');
  return {
    eosTokenIds: [...new Set(ids('eos_token_id'))],
    ...(bos === undefined ? {} : { bosTokenId: bos }),
    ...(pad === undefined ? {} : { padTokenId: pad }),
  };
}
