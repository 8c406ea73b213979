import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type JsonObject, readJsonFile } from './json.js';

/** A config.json as it stands, and the name it has in error messages. */
export interface RawConfig {
  readonly json: JsonObject;
  readonly file: string;
}

/** Reads `config.json` of a folder, a file, or takes an object that was read elsewhere. */
export async function readConfig(source: string | JsonObject): Promise<RawConfig> {
  if (typeof source !== 'string') return { json: source, file: 'config' };
  const isFolder = (await stat(source).catch(() => undefined))?.isDirectory() === true;
  const file = isFolder ? join(source, 'config.json') : source;
  return { json: await readJsonFile(file), file };
}
