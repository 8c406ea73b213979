import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashTrees, treeTokens } from '@kelpie/data';
import { type Policy, type ScoreName, scoredTokens, type TokenTree } from '@kelpie/policy';
import { canonical, hashOf, messageOf, writeWhole } from './files.js';
import { type Example, gridOf, type ReferenceTable, requireFinite, scoresOf } from './rows.js';

export interface ReferenceOptions {
  readonly policy: Policy;
  readonly examples: readonly Example[];
  /** What the objective reads of the reference. */
  readonly scores: readonly ScoreName[];
  /** Default 1. */
  readonly temperature?: number;
  /** Of the tokenizer that made the ids; absent where there is none. */
  readonly tokenizerHash?: string;
  /** What the examples are, as part of the file's name. Default `rows`. */
  readonly name?: string;
  /**
   * Examples computed together, each exactly once. Given where scores are compared with a policy's of the very same
   * batches: at the start both are then equal to the last bit. Default: batches of a fixed number of tokens.
   */
  readonly batches?: readonly (readonly number[])[];
  /** The cache. Absent: nothing is kept. */
  readonly folder?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { done: number; total: number; cached: boolean }) => void;
  /** Hears why a cache that is there was not used. */
  readonly onWarning?: (message: string) => void;
}

/** What scores depend on. Two runs with the same key have the same scores, whatever their batches. */
interface Key {
  readonly policy: string;
  readonly tokenizer: string;
  readonly dataset: string;
  readonly scores: readonly ScoreName[];
  readonly temperature: number;
  /** Hash of the batches that were given; empty for the fixed ones. */
  readonly batches: string;
}

interface Header {
  readonly format: typeof format;
  readonly key: Key;
  /** Scored tokens of each completion; the scores follow as float64, little-endian, score by score. */
  readonly lengths: readonly number[];
  readonly sha256: string;
}

const format = 'kelpie-reference/1';
const extension = '.reference';

/**
 * Tokens computed at once. Not an option: in float32 a row's last digits depend on its batch, and a cache that another
 * run made must hold the very numbers this run would have computed.
 */
const batchTokens = 2048;

/**
 * Scores of the reference, computed once, before training: by example and branch. Kept in `folder` under the hash of all
 * they depend on, and read from there when they fit.
 */
export async function referenceScores(options: ReferenceOptions): Promise<ReferenceTable> {
  const { policy, examples, scores, temperature = 1, tokenizerHash = '', name = 'rows', folder } = options;
  if (scores.length === 0) return {};
  const dataset = hashTrees(examples.map(({ tree }) => tree));
  const key: Key = {
    policy: policy.info.referenceHash,
    tokenizer: tokenizerHash,
    dataset,
    scores: scores.toSorted(),
    temperature,
    batches: options.batches === undefined ? '' : hashOf(JSON.stringify(options.batches)),
  };
  const lengths = examples.flatMap(({ tree }) => lengthsOf(tree));
  const file =
    folder === undefined ? undefined : join(folder, `${name}-${hashOf(canonical(key)).slice(0, 16)}${extension}`);
  const cached = file === undefined ? undefined : await readCache(file, key, lengths, options);
  if (cached !== undefined) {
    options.onProgress?.({ done: examples.length, total: examples.length, cached: true });
    return tableOf(examples, key.scores, lengths, cached);
  }
  const computed = await compute(options, key, lengths);
  if (file !== undefined) {
    const body = Buffer.from(computed.buffer);
    const header: Header = { format, key, lengths, sha256: hashOf(body) };
    await writeWhole(file, Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), body]));
  }
  return tableOf(examples, key.scores, lengths, computed);
}

/** Scored tokens of each branch. */
function lengthsOf(tree: TokenTree): number[] {
  return tree.branches.map((branch) => scoredTokens(tree, branch));
}

/** [scores][completions, one behind the other]. */
async function compute(options: ReferenceOptions, key: Key, lengths: readonly number[]): Promise<Float64Array> {
  const { policy, examples, signal, onProgress } = options;
  const scored = lengths.reduce((a, b) => a + b, 0);
  const flat = new Float64Array(scored * key.scores.length);
  const starts = startsOf(examples);
  let done = 0;
  for (const indices of options.batches ?? batches(examples)) {
    signal?.throwIfAborted();
    const batch = indices.map((i) => examples[i]!);
    const trees = batch.map(({ tree }) => tree);
    const request = { trees, scores: key.scores, temperature: key.temperature };
    const result = await policy.score({ ...request, of: 'reference' });
    const grid = gridOf(trees);
    requireFinite({ ...grid, examples: batch }, scoresOf(result), { of: 'reference', step: 0 });
    let row = 0;
    for (const [b, i] of indices.entries()) {
      let at = starts[i]!;
      for (const length of lengthsOf(trees[b]!)) {
        for (const [s, name] of key.scores.entries()) {
          flat.set(result[name]!.subarray(row * result.tokens, row * result.tokens + length), s * scored + at);
        }
        at += length;
        row++;
      }
    }
    done += batch.length;
    onProgress?.({ done, total: examples.length, cached: false });
  }
  return flat;
}

/** Where each example's scores begin. */
function startsOf(examples: readonly Example[]): number[] {
  let at = 0;
  return examples.map(({ tree }) => {
    const start = at;
    at += lengthsOf(tree).reduce((a, b) => a + b, 0);
    return start;
  });
}

function* batches(examples: readonly Example[]): Generator<number[]> {
  let batch: number[] = [];
  let longest = 0;
  for (const [i, { tree }] of examples.entries()) {
    longest = Math.max(longest, treeTokens(tree));
    if (batch.length > 0 && (batch.length + 1) * longest > batchTokens) {
      yield batch;
      batch = [];
      longest = treeTokens(tree);
    }
    batch.push(i);
  }
  if (batch.length > 0) yield batch;
}

function tableOf(
  examples: readonly Example[],
  names: readonly ScoreName[],
  lengths: readonly number[],
  flat: Float64Array,
): ReferenceTable {
  const scored = flat.length / names.length;
  return Object.fromEntries(
    names.map((name, s) => {
      let row = 0;
      let end = s * scored;
      const next = () => {
        const from = end;
        end += lengths[row++]!;
        return flat.slice(from, end);
      };
      return [name, examples.map(({ tree }) => tree.branches.map(next))];
    }),
  );
}

async function readCache(
  file: string,
  key: Key,
  lengths: readonly number[],
  { name = 'rows', folder, onWarning }: ReferenceOptions,
): Promise<Float64Array | undefined> {
  const bytes = await readFile(file).catch(() => undefined);
  if (bytes === undefined) {
    const others = await otherKeys(folder!, `${name}-`);
    const near = others.map((other) => differences(other, key)).sort((a, b) => a.length - b.length)[0];
    if (near !== undefined && near.length > 0) {
      onWarning?.(`the cached reference scores are of another ${near.join(' and ')}: they are computed anew`);
    }
    return undefined;
  }
  try {
    const end = bytes.indexOf('\n');
    const header = JSON.parse(bytes.subarray(0, end).toString()) as Header;
    const body = Uint8Array.from(bytes.subarray(end + 1));
    if (header.format !== format) throw new Error(`its format is ${JSON.stringify(header.format)}`);
    if (canonical(header.key) !== canonical(key))
      throw new Error(`it is of another ${differences(header.key, key).join(' and ')}`);
    if (canonical(header.lengths) !== canonical(lengths)) throw new Error('its rows have other lengths');
    if (hashOf(body) !== header.sha256) throw new Error('its checksum is wrong');
    return new Float64Array(body.buffer);
  } catch (error) {
    onWarning?.(`the cached reference scores in ${file} cannot be used, and are computed anew: ${messageOf(error)}`);
    return undefined;
  }
}

function differences(a: Key, b: Key): string[] {
  const names = {
    policy: 'model',
    tokenizer: 'tokenizer',
    dataset: 'dataset',
    scores: 'set of scores',
    temperature: 'temperature',
    batches: 'split into batches',
  };
  return (Object.keys(names) as (keyof Key)[])
    .filter((name) => canonical(a[name]) !== canonical(b[name]))
    .map((name) => names[name]);
}

async function otherKeys(folder: string, prefix: string): Promise<Key[]> {
  const names = await readdir(folder).catch(() => [] as string[]);
  const keys: Key[] = [];
  for (const name of names.filter((name) => name.startsWith(prefix) && name.endsWith(extension))) {
    try {
      const bytes = await readFile(join(folder, name));
      keys.push((JSON.parse(bytes.subarray(0, bytes.indexOf('\n')).toString()) as Header).key);
    } catch {
      // Not one of ours, or damaged: it says nothing about this run.
    }
  }
  return keys;
}
