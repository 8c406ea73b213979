import { join } from 'node:path';
import { KelpieError } from '../errors.js';
import { readConfig } from './config-file.js';
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

/**
 * Ids of `generation_config.json`, then of `config.json`, then the family's default; a key that is there counts, also
 * with the value null (none). A default beyond the vocabulary is none.
 */
export async function readSpecialTokenIds(folder: string): Promise<SpecialTokenIds> {
  const generation = await readGenerationConfig(folder);
  const { json, file } = await readConfig(folder);
  return specialTokenIds(json, generation ?? {}, file);
}

export async function readGenerationConfig(folder: string): Promise<JsonObject | undefined> {
  return readJsonFile(join(folder, 'generation_config.json'), { optional: true });
}

export function specialTokenIds(config: JsonObject, generation: JsonObject = {}, file = 'config'): SpecialTokenIds {
  const family = typeof config.model_type === 'string' ? (defaults[config.model_type] ?? {}) : {};
  const textConfig = isJsonObject(config.text_config) ? config.text_config : {};
  const size = config.vocab_size ?? textConfig.vocab_size;
  const ids = (key: string): number[] => {
    const given = [generation, config].find((json) => Object.hasOwn(json, key));
    const value = given === undefined ? family[key] : given[key];
    if (value === null || value === undefined) return [];
    const list: unknown[] = Array.isArray(value) ? value : [value];
    // -1 is how some old files write "none".
    const valid = list.filter((id) => id !== -1);
    if (!valid.every((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0)) {
      throw new KelpieError(`expected a token id or null, got ${JSON.stringify(value)}`, {
        code: 'config-value',
        where: { file, key },
      });
    }
    return given === undefined && typeof size === 'number' ? valid.filter((id) => id < size) : valid;
  };
  const [bos] = ids('bos_token_id');
  const [pad] = ids('pad_token_id');
  return {
    eosTokenIds: [...new Set(ids('eos_token_id'))],
    ...(bos === undefined ? {} : { bosTokenId: bos }),
    ...(pad === undefined ? {} : { padTokenId: pad }),
  };
}
