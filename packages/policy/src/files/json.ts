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

export function parseJsonObject(text: string, file: string): JsonObject {
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
