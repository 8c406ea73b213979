import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export function readJson<Value>(file: string): Value {
  const text = readFileSync(file, 'utf8');
  try {
    return JSON.parse(text) as Value;
  } catch (cause) {
    throw new Error(`${file}: expected JSON; remove the file to have it made again`, { cause });
  }
}

/** Writes a file whole or not at all. */
export function writeWhole(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.partial`, text);
  renameSync(`${file}.partial`, file);
}

export const writeJson = (file: string, value: unknown): void => writeWhole(file, `${JSON.stringify(value)}\n`);
