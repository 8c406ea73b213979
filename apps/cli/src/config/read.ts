import { closeSync, openSync, readSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { nestsTooDeep } from '@kelpie/data';
import { atMostLevels } from '@kelpie/policy';
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLMap,
} from 'yaml';
import { UsageError } from '../exit.js';
import { type ConfigProblem, type Entry, type Origin, originText, pathText } from './entry.js';
import { tooDeepAt } from './levels.js';
import { sectionPaths } from './schema.js';

/** Values of one file, and of those it extends before them. */
export type Layer = readonly Entry[];

/** Nobody writes a config of this size: the wrong file was named. */
const MAX_BYTES = 2 ** 20;

interface Source {
  readonly file: string;
  readonly doc: Document;
  readonly lines: LineCounter;
  readonly problems: ConfigProblem[];
}

export type ReadConfig = (file: string) => readonly Layer[];

/** `readConfig` that reads a file once and remembers it. */
export function configReader(): ReadConfig {
  const known = new Map<string, readonly Layer[]>();
  return (file) => {
    const layers = known.get(file) ?? readConfig(file);
    known.set(file, layers);
    return layers;
  };
}

/** A YAML file as layers, the ones it extends first. Throws a `UsageError` with every fault of its form. */
export function readConfig(file: string): Layer[] {
  return layersOf(file, []);
}

function layersOf(file: string, above: readonly string[], named?: Origin): Layer[] {
  const by = named === undefined ? '--config' : originText(named);
  const text = contentOf(file, by);
  const real = realPath(file);
  if (above.includes(real)) throw new UsageError(`${by}: \`${file}\` extends itself`);
  const source = parse(file, text);
  const entries = entriesOf(source);
  const { bases, own } = withoutExtends(entries, source);
  if (source.problems.length > 0) throw new UsageError(listOf(source.problems));
  const origin = entries.find(({ path }) => path[0] === 'extends')?.origin;
  const inherited = bases.flatMap((base) => layersOf(join(dirname(file), base), [...above, real], origin));
  return [...inherited, own];
}

/** Problems as they are told: one a line, with its place. */
export function listOf(problems: readonly ConfigProblem[]): string {
  const lines = problems.slice(0, 20).map(({ origin, message }) => `${originText(origin)}: ${message}`);
  if (problems.length > 20) lines.push(`and ${problems.length - 20} more`);
  return lines.join('\n');
}

function contentOf(file: string, by: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(file));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const meanings: Readonly<Record<string, string>> = {
      ENOENT: 'there is no such file',
      EISDIR: 'it is a folder, not a file',
      EACCES: 'its permissions forbid it',
    };
    throw new UsageError(`${by}: cannot read \`${file}\`: ${meanings[code ?? ''] ?? message}`, { cause: error });
  }
}

/** At most what a config may have, also of a pipe, whose size nobody knows. */
function bytesOf(file: string): Uint8Array {
  const handle = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(MAX_BYTES + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = readSync(handle, bytes, length, bytes.length - length, null);
    if (length > MAX_BYTES) throw new Error('it has more than 1 MiB, which no config has');
    return bytes.subarray(0, length);
  } finally {
    closeSync(handle);
  }
}

/** A pipe has no path. */
function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}

function parse(file: string, text: string): Source {
  const lines = new LineCounter();
  const options = { lineCounter: lines, prettyErrors: false, stringKeys: true, logLevel: 'silent' } as const;
  const deep = tooDeepAt(text);
  if (deep !== undefined) throw new UsageError(`${originText(originAt(file, text, deep))}: expected ${atMostLevels}`);
  const doc: Document = parseDocument(text, options);
  const source: Source = { file, doc, lines, problems: [] };
  const problems = doc.errors.map(({ pos, message }) => ({ origin: placeOf(source, pos[0]), message }));
  if (problems.length > 0) throw new UsageError(listOf(problems));
  return source;
}

function originAt(file: string, text: string, offset: number): Origin {
  const before = text.slice(0, offset).split('\n');
  return { kind: 'file', file, line: before.length, column: before.at(-1)!.length + 1 };
}

function placeOf({ file, lines }: Source, offset: number): Origin {
  const { line, col } = lines.linePos(offset);
  return { kind: 'file', file, line: Math.max(1, line), column: Math.max(1, col) };
}

function entriesOf(source: Source): Entry[] {
  const { contents } = source.doc;
  if (contents === null || isNull(contents)) return [];
  if (isMap(contents)) return contents.items.flatMap((pair) => entriesIn(pair, [], source));
  const message = 'expected keys such as `objective:` and `model:`';
  source.problems.push({ origin: placeOf(source, contents.range?.[0] ?? 0), message });
  return [];
}

const isNull = (node: unknown) => node === null || (isScalar(node) && node.value === null);

function entriesIn({ key, value }: Pair, above: readonly string[], source: Source): Entry[] {
  const keyNode = key as Node;
  const origin = placeOf(source, keyNode.range?.[0] ?? 0);
  const path = [...above, isScalar(keyNode) ? String(keyNode.value) : String(keyNode)];
  const node = isAlias(value) ? value.resolve(source.doc) : value;
  if (!sectionPaths.has(pathText(path)))
    return [{ path, value: plain(value as Node | null, path, origin, source), origin }];
  // A section whose keys are all commented out.
  if (isNull(node ?? null)) return [];
  if (isMap(node)) return (node as YAMLMap).items.flatMap((pair) => entriesIn(pair as Pair, path, source));
  source.problems.push({ origin, message: `\`${pathText(path)}\`: expected keys below it` });
  return [];
}

function plain(node: Node | null, path: readonly string[], origin: Origin, source: Source): unknown {
  const refuse = (why: string) => {
    source.problems.push({ origin, message: `\`${pathText(path)}\`: ${why}` });
    return null;
  };
  try {
    const value: unknown = node === null ? null : node.toJS(source.doc, { maxAliasCount: 20 });
    return nestsTooDeep(value) ? refuse(`expected ${atMostLevels}`) : value;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function withoutExtends(entries: readonly Entry[], { problems }: Source): { bases: string[]; own: Entry[] } {
  const own = entries.filter(({ path }) => path[0] !== 'extends');
  const found = entries.find(({ path }) => path[0] === 'extends');
  if (found === undefined) return { bases: [], own };
  const bases = [found.value].flat();
  const fits = bases.every((base): base is string => typeof base === 'string' && base !== '');
  if (!fits) problems.push({ origin: found.origin, message: '`extends`: expected a file or a list of files' });
  return { bases: fits ? bases : [], own };
}
