import { createHash } from 'node:crypto';
import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Names of what is still being written, or being removed. */
export const unfinished = /^\..+\.(partial|tmp|old)-/;

export interface Found {
  /** Files and folders under temporary names. */
  readonly temporary: readonly string[];
  /** What is wrong with files under their final names. */
  readonly broken: readonly string[];
}

/**
 * Looks through the folder of a run. `settled`: no process writes there, so that logs can be read line by line and
 * checkpoints be held against their hashes.
 */
export function inspect(folder: string, { settled }: { readonly settled: boolean }): Found {
  const temporary: string[] = [];
  const broken: string[] = [];
  const visit = (path: string) => {
    for (const entry of entriesOf(path)) {
      const at = join(path, entry.name);
      if (unfinished.test(entry.name)) temporary.push(at);
      else if (entry.isDirectory()) visit(at);
      else if (!/\.jsonl$/.test(at) || settled) broken.push(...complaint(at));
    }
  };
  visit(folder);
  if (settled) for (const at of steps(folder)) broken.push(...checkpointComplaint(at));
  return { temporary, broken };
}

function steps(folder: string): string[] {
  const checkpoints = join(folder, 'checkpoints');
  return entriesOf(checkpoints)
    .filter(({ name }) => name.startsWith('step-'))
    .map(({ name }) => join(checkpoints, name));
}

/** A checkpoint under its name has all its files, and they belong together. */
function checkpointComplaint(folder: string): string[] {
  const loop = unlessGone(() => readFileSync(join(folder, 'loop.json'), 'utf8'));
  const stored = JSON.parse(loop ?? '{}') as Readonly<Record<string, string | undefined>>;
  const states = ['critic', 'policy'].filter((name) => name === 'policy' || stored[`${name}State`] !== undefined);
  const expected = [...states.map((name) => `${name}.safetensors`), 'loop.json'].sort();
  const names = entriesOf(folder).map(({ name }) => name);
  if (names.toSorted().join() !== expected.join()) return [`${folder} holds ${names.join(' ')}`];
  return states.flatMap((name) => {
    const hash = createHash('sha256').update(readFileSync(join(folder, `${name}.safetensors`)));
    return hash.digest('hex') === stored[`${name}State`] ? [] : [`${folder}: the ${name}'s hash is another`];
  });
}

function complaint(file: string): string[] {
  const bytes = unlessGone(() => readFileSync(file));
  if (bytes === undefined) return [];
  try {
    parse(file, bytes);
    return [];
  } catch (error) {
    return [`${file}, ${bytes.length} bytes: ${(error as Error).message}`];
  }
}

function parse(file: string, bytes: Buffer): void {
  if (file.endsWith('.json')) JSON.parse(bytes.toString());
  else if (file.endsWith('.jsonl')) parseLines(bytes.toString());
  else if (file.endsWith('.safetensors')) parseTensors(bytes);
  else if (file.endsWith('.reference')) parseReference(bytes);
}

function parseLines(text: string): void {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line has no end');
  for (const line of text.split('\n').slice(0, -1)) JSON.parse(line);
}

function parseTensors(bytes: Buffer): void {
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, start).toString()) as Record<string, { data_offsets?: [number, number] }>;
  const end = Math.max(...Object.values(header).map(({ data_offsets: [, last] = [0, 0] }) => last));
  if (start + end !== bytes.length) throw new Error(`expected ${start + end} bytes`);
}

function parseReference(bytes: Buffer): void {
  const end = bytes.indexOf('\n');
  const { sha256 } = JSON.parse(bytes.subarray(0, end).toString()) as { sha256: string };
  const hash = createHash('sha256').update(bytes.subarray(end + 1));
  if (hash.digest('hex') !== sha256) throw new Error('its checksum is wrong');
}

function entriesOf(folder: string): Dirent[] {
  return unlessGone(() => readdirSync(folder, { withFileTypes: true })) ?? [];
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
