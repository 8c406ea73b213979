import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { DataError, type Problem, show, type Where } from './error.js';
import { arrayElements, findJsonFault } from './json.js';
import { nestsTooDeep } from './nesting.js';
import type { JsonObject } from './row.js';

/** An object as it stood in a file, or what kept it from being read. */
export type RawRow =
  | { readonly value: JsonObject; readonly where: Where }
  | { readonly problem: Problem; readonly where: Where };

const kinds = new Map<string, 'lines' | 'either'>([
  ['jsonl', 'lines'],
  ['ndjson', 'lines'],
  ['json', 'either'],
]);

function kindOf(file: string): 'lines' | 'either' {
  const extension = /\.([a-z]+)(?:\.gz)?$/i.exec(file)?.[1]?.toLowerCase() ?? '';
  const kind = kinds.get(extension);
  if (kind !== undefined) return kind;
  const expected = '`.jsonl`, `.ndjson` or `.json`, each also with `.gz`';
  throw new DataError(`Cannot tell how to read ${file}: expected a file that ends in ${expected}.`, {
    code: 'unknown-file-type',
    where: { file, line: 1 },
    expected,
    received: extension === '' ? 'no extension' : `.${extension}`,
    remedy: 'Convert the rows to JSON lines: one object a line.',
  });
}

/** What went wrong in words: Node puts its code in front, and call and path, which are said already, behind. */
function reasonOf({ message, code, syscall }: NodeJS.ErrnoException): string {
  const start = code !== undefined && message.startsWith(`${code}: `) ? code.length + 2 : 0;
  const end = syscall === undefined ? -1 : message.lastIndexOf(`, ${syscall}`);
  return message.slice(start, end < start ? undefined : end);
}

async function* chunksOf(file: string, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  const source = createReadStream(file, signal === undefined ? {} : { signal });
  const zipped = file.toLowerCase().endsWith('.gz');
  const stream = zipped ? source.pipe(createGunzip()) : source;
  // `pipe` does not hand errors on: a missing file would leave the unzipping stream waiting for ever.
  if (zipped) source.on('error', (error) => stream.destroy(error));
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (error) {
    signal?.throwIfAborted();
    throw new DataError(`Cannot read ${file}: ${reasonOf(error as NodeJS.ErrnoException)}.`, {
      code: 'unreadable-file',
      where: { file, line: 1 },
      expected: 'a file that can be read',
      received: (error as NodeJS.ErrnoException).code ?? 'an error',
      remedy: 'Check the path and the permissions of the file.',
      cause: error,
    });
  } finally {
    source.destroy();
  }
}

/**
 * Lines as bytes, split at line feeds only. `node:readline` also splits at U+2028 and U+2029, which JSON allows inside a
 * string, and a chunk may end inside a character: so bytes are split first, and decoded by the line.
 */
async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let open: Buffer[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      open.push(chunk.subarray(start, end));
      yield open.length === 1 ? (open[0] as Buffer) : Buffer.concat(open);
      open = [];
      start = end + 1;
    }
    if (start < chunk.length) open.push(chunk.subarray(start));
  }
  if (open.length > 0) yield Buffer.concat(open);
}

function notJson(text: string, where: Where): RawRow {
  const fault = findJsonFault(text);
  const offset = fault?.offset ?? 0;
  const place = { ...where, column: offset + 1 };
  const received = offset >= text.length ? 'the end of the line' : show(text.slice(offset, offset + 12));
  return { where, problem: { code: 'not-json', where: place, expected: fault?.expected ?? 'JSON', received } };
}

function rawRow(text: string, where: Where): RawRow {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return notJson(text, where);
  }
  if (nestsTooDeep(value)) return notJson(text, where);
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return { value: value as JsonObject, where };
  return { where, problem: { code: 'not-an-object', where, expected: 'an object', received: show(value) } };
}

/** Drops a byte order mark; refuses bytes that are no UTF-8 rather than reading them as U+FFFD. */
function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function notUtf8(where: Where): RawRow {
  return { where, problem: { code: 'not-utf8', where, expected: 'text in UTF-8', received: 'other bytes' } };
}

async function* jsonLines(file: string, lines: AsyncIterable<Buffer>): AsyncGenerator<RawRow> {
  let line = 0;
  for await (const bytes of lines) {
    const where = { file, line: ++line };
    const text = decode(bytes);
    if (text === undefined) yield notUtf8(where);
    else if (text.trim() !== '') yield rawRow(text, where);
  }
}

function lineCounter(text: string): (offset: number) => { line: number; column: number } {
  let line = 1;
  let start = 0;
  return (offset) => {
    for (let end = text.indexOf('\n', start); end >= 0 && end < offset; end = text.indexOf('\n', start)) {
      line++;
      start = end + 1;
    }
    return { line, column: offset - start + 1 };
  };
}

function* jsonArray(file: string, text: string): Generator<RawRow> {
  const { elements, fault } = arrayElements(text);
  const place = lineCounter(text);
  for (const [start, end] of elements) yield rawRow(text.slice(start, end), { file, line: place(start).line });
  if (fault === undefined) return;
  const where = { file, ...place(fault.offset) };
  const received =
    fault.offset >= text.length ? 'the end of the file' : show(text.slice(fault.offset, fault.offset + 12));
  yield { where, problem: { code: 'not-json', where, expected: fault.expected, received } };
}

async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

/** The rows of one file. `.json` is a list of rows if it begins with `[`, else lines, as many published sets have it. */
export async function* readRows(
  file: string,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<RawRow> {
  const kind = kindOf(file);
  const chunks = chunksOf(file, signal);
  if (kind === 'lines') return yield* jsonLines(file, linesOf(chunks));
  const bytes = await collect(chunks);
  const text = decode(bytes);
  if (text === undefined) yield notUtf8({ file, line: 1 });
  else if (text.trimStart().startsWith('[')) yield* jsonArray(file, text);
  else yield* jsonLines(file, linesOf(single(bytes)));
}

async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** The rows of several files, in the order of the list. */
export async function* readFiles(
  files: readonly string[],
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<RawRow> {
  for (const file of files) yield* readRows(file, options);
}
