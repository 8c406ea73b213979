import { readFile } from 'node:fs/promises';
import { KelpieError, messageOf } from '../errors.js';

export type JsonObject = Record<string, unknown>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A file that holds one JSON object. A missing file is an error, or `undefined` if it is `optional`. */
export async function readJsonFile(file: string): Promise<JsonObject>;
export async function readJsonFile(file: string, options: { optional: true }): Promise<JsonObject | undefined>;
export async function readJsonFile(file: string, { optional = false } = {}): Promise<JsonObject | undefined> {
  const text = await readTextFile(file, optional);
  return text === undefined ? undefined : parseJsonObject(text, file);
}

export async function readTextFile(file: string, optional: boolean): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && optional) return undefined;
    throw new KelpieError(`expected a file to read: ${messageOf(error)}`, {
      code: 'file-missing',
      where: { file },
      cause: error,
    });
  }
}

/** Lists and objects within each other, at most: far more than files of models, rows or configs have, few enough for whatever walks them. */
export const MAX_LEVELS = 200;

export const atMostLevels = `at most ${MAX_LEVELS} levels of lists and objects`;

/** The most lists and objects that stand within each other at one place of a JSON text. */
export function levelsOf(text: string): number {
  let [levels, most, quoted] = [0, 0, false];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (quoted && character === '\\') i++;
    else if (character === '"') quoted = !quoted;
    else if (quoted) continue;
    else if (character === '{' || character === '[') most = Math.max(most, ++levels);
    else if (character === '}' || character === ']') levels--;
  }
  return most;
}

export function parseJsonObject(text: string, file: string): JsonObject {
  if (levelsOf(text) > MAX_LEVELS) {
    throw new KelpieError(`expected ${atMostLevels}`, {
      code: 'json',
      where: { file },
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text.startsWith('\ufeff') ? text.slice(1) : text);
  } catch (error) {
    throw new KelpieError(`expected JSON, but it does not parse: ${messageOf(error)}`, {
      code: 'json',
      where: { file },
      cause: error,
    });
  }
  if (isJsonObject(value)) return value;
  throw new KelpieError('expected a JSON object', { code: 'json', where: { file } });
}
