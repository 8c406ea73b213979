import { type FileHandle, open, stat } from 'node:fs/promises';
import { endianness } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { KelpieError, nearestNames } from '../errors.js';
import { singleBitsFromBfloat16, singleBitsFromFloat16 } from './half.js';
import { readJsonFile } from './json.js';
import { bitsOfDtype, maxHeaderBytes, parseHeader, type TensorDtype } from './safetensors-header.js';

export type { TensorDtype } from './safetensors-header.js';

export interface TensorEntry {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** The file that holds its bytes. */
  readonly file: string;
  /** Position of its first byte in the file, and how many there are. */
  readonly offset: number;
  readonly bytes: number;
}

/** Tensors in one or several files, read one at a time. It holds no open file, so there is nothing to close. */
export interface TensorSource {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** `__metadata__` of the first file. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly files: readonly string[];
  /** A fresh array, row-major. F32, F16 and BF16 are exact, F64 is rounded. Integers and BOOL are refused. */
  read(name: string): Promise<Float32Array>;
  /** The same, F64 exact too. */
  readFloat64(name: string): Promise<Float64Array>;
  /** The tensor's bytes as they stand, of any dtype. */
  readBytes(name: string): Promise<Uint8Array>;
}

/** Names that a folder may hold, in order of preference; a `.index.json` names shards. */
const defaultNames = ['model.safetensors', 'model.safetensors.index.json', 'adapter_model.safetensors'];

/**
 * Opens a safetensors file, an index of shards, or a folder that holds `model.safetensors` or
 * `model.safetensors.index.json`. Headers are read and checked at once, tensors when asked for. A file that changes
 * afterwards is an error, not a mixture.
 */
export async function readSafetensors(folderOrFile: string): Promise<TensorSource> {
  const file = await findFile(folderOrFile);
  const shards = file.endsWith('.json') ? await readIndex(file) : [{ file, names: undefined }];
  const tensors = new Map<string, TensorEntry>();
  const stamps = new Map<string, Stamp>();
  let metadata: Readonly<Record<string, string>> | undefined;
  for (const shard of shards) {
    const opened = await openFile(shard.file);
    stamps.set(shard.file, opened.stamp);
    metadata ??= opened.metadata;
    for (const entry of opened.entries) {
      const other = tensors.get(entry.name);
      if (other !== undefined) {
        throw new KelpieError(`the tensor is in two shards, also in \`${other.file}\`: remove one`, {
          code: 'safetensors-duplicate',
          where: { file: entry.file, tensor: entry.name },
        });
      }
      tensors.set(entry.name, entry);
    }
    for (const name of shard.names ?? []) {
      if (tensors.get(name)?.file === shard.file) continue;
      throw new KelpieError(
        'the index promises this tensor in this shard, but it is not there: fetch the shard again',
        {
          code: 'safetensors-index',
          where: { file: shard.file, tensor: name },
        },
      );
    }
  }
  return new Source(tensors, metadata ?? {}, stamps);
}

class Source implements TensorSource {
  readonly files: readonly string[];
  constructor(
    readonly tensors: ReadonlyMap<string, TensorEntry>,
    readonly metadata: Readonly<Record<string, string>>,
    private readonly stamps: ReadonlyMap<string, Stamp>,
  ) {
    this.files = [...stamps.keys()];
  }

  async read(name: string): Promise<Float32Array> {
    const entry = this.floatEntry(name);
    const result = new Float32Array(elements(entry));
    await this.decode(entry, result);
    return result;
  }

  async readFloat64(name: string): Promise<Float64Array> {
    const entry = this.floatEntry(name);
    const result = new Float64Array(elements(entry));
    await this.decode(entry, result);
    return result;
  }

  async readBytes(name: string): Promise<Uint8Array> {
    const entry = this.entry(name);
    const result = new Uint8Array(entry.bytes);
    await this.withFile(entry, (handle) => readFully(handle, result, entry.offset, entry));
    return result;
  }

  private entry(name: string): TensorEntry {
    const entry = this.tensors.get(name);
    if (entry !== undefined) return entry;
    const near = nearestNames(name, this.tensors.keys());
    throw new KelpieError(
      `expected a tensor of that name, but there is none; nearest: ${near.map((n) => `\`${n}\``).join(', ') || 'no tensor at all'}`,
      { code: 'safetensors-missing', where: { file: this.files[0] ?? '', tensor: name } },
    );
  }

  private floatEntry(name: string): TensorEntry & { dtype: FloatDtype } {
    const entry = this.entry(name);
    if (Object.hasOwn(decoders, entry.dtype)) return entry as TensorEntry & { dtype: FloatDtype };
    throw new KelpieError(
      `expected floating-point numbers (${Object.keys(decoders).join(', ')}), got dtype ${entry.dtype}; readBytes gives it as it is`,
      { code: 'safetensors-dtype', where: { file: entry.file, tensor: name } },
    );
  }

  private async decode(entry: TensorEntry & { dtype: FloatDtype }, into: Float32Array | Float64Array): Promise<void> {
    const { width, decode } = decoders[entry.dtype];
    await this.withFile(entry, async (handle) => {
      if (into instanceof Float32Array && entry.dtype === 'F32') {
        await readFully(handle, bytesOf(into), entry.offset, entry);
        return;
      }
      const buffer = new Uint8Array(Math.min(entry.bytes, chunkBytes));
      for (let done = 0; done < entry.bytes; done += buffer.length) {
        const part = buffer.subarray(0, Math.min(buffer.length, entry.bytes - done));
        await readFully(handle, part, entry.offset + done, entry);
        decode(part, into, done / width);
      }
    });
  }

  private async withFile(entry: TensorEntry, use: (handle: FileHandle) => Promise<void>): Promise<void> {
    const handle = await open(entry.file, 'r');
    try {
      if (!sameStamp(await stampOf(handle), this.stamps.get(entry.file))) {
        throw new KelpieError('the file has changed since its header was read: open it again', {
          code: 'safetensors-changed',
          where: { file: entry.file, tensor: entry.name },
        });
      }
      await use(handle);
    } finally {
      await handle.close();
    }
  }
}

const chunkBytes = 1 << 20;

type FloatDtype = 'F64' | 'F32' | 'F16' | 'BF16';
type Decode = (bytes: Uint8Array, into: Float32Array | Float64Array, at: number) => void;

/** Chunks start at offset 0 of a fresh buffer and hold whole elements, so typed views fit. */
const decoders: Record<FloatDtype, { width: number; decode: Decode }> = {
  F64: { width: 8, decode: (bytes, into, at) => into.set(new Float64Array(bytes.buffer, 0, bytes.length / 8), at) },
  F32: { width: 4, decode: (bytes, into, at) => into.set(new Float32Array(bytes.buffer, 0, bytes.length / 4), at) },
  F16: { width: 2, decode: viaSingle(singleBitsFromFloat16) },
  BF16: { width: 2, decode: viaSingle(singleBitsFromBfloat16) },
};

function viaSingle(toBits: (half: number) => number): Decode {
  return (bytes, into, at) => {
    const halves = new Uint16Array(bytes.buffer, 0, bytes.length / 2);
    const words = new Uint32Array(halves.length);
    for (let i = 0; i < halves.length; i++) words[i] = toBits(halves[i]!);
    if (into instanceof Float32Array) new Uint32Array(into.buffer, into.byteOffset, into.length).set(words, at);
    else into.set(new Float32Array(words.buffer), at);
  };
}

function elements(entry: TensorEntry): number {
  return (entry.bytes * 8) / bitsOfDtype[entry.dtype];
}

export function bytesOf(array: Float32Array | Float64Array | Uint8Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

async function readFully(handle: FileHandle, into: Uint8Array, offset: number, entry: TensorEntry): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const wanted = Math.min(into.length - done, 1 << 26);
    const { bytesRead } = await handle.read(into, done, wanted, offset + done);
    if (bytesRead === 0) {
      throw new KelpieError('the file ended while the tensor was read', {
        code: 'safetensors-truncated',
        where: { file: entry.file, tensor: entry.name },
      });
    }
    done += bytesRead;
  }
}

interface Stamp {
  readonly size: number;
  readonly modified: number;
  readonly inode: number;
}

async function stampOf(handle: FileHandle): Promise<Stamp> {
  const { size, mtimeMs, ino } = await handle.stat();
  return { size, modified: mtimeMs, inode: ino };
}

function sameStamp(a: Stamp, b: Stamp | undefined): boolean {
  return b !== undefined && a.size === b.size && a.modified === b.modified && a.inode === b.inode;
}

async function openFile(file: string): Promise<{
  entries: TensorEntry[];
  metadata: Readonly<Record<string, string>>;
  stamp: Stamp;
}> {
  if (endianness() !== 'LE')
    throw new KelpieError('safetensors are little-endian, this machine is not', { code: 'endianness' });
  const handle = await open(file, 'r');
  try {
    const stamp = await stampOf(handle);
    const text = await readHeader(handle, stamp.size, file);
    const start = 8 + text.bytes;
    const { tensors, metadata } = parseHeader(text.json, stamp.size - start, file);
    const entries = tensors.map(({ name, dtype, shape, begin, end }) => ({
      name,
      dtype,
      shape,
      file,
      offset: start + begin,
      bytes: end - begin,
    }));
    return { entries, metadata, stamp };
  } finally {
    await handle.close();
  }
}

async function readHeader(handle: FileHandle, size: number, file: string): Promise<{ json: string; bytes: number }> {
  const fail = (message: string, cause?: unknown): never => {
    throw new KelpieError(message, {
      code: 'safetensors-header',
      where: { file },
      ...(cause === undefined ? {} : { cause }),
    });
  };
  if (size < 8)
    fail(`expected a safetensors file, 8 bytes of header length first, but it has ${size} bytes: fetch it again`);
  const prefix = Buffer.alloc(8);
  await handle.read(prefix, 0, 8, 0);
  const length = prefix.readBigUInt64LE();
  if (length > BigInt(maxHeaderBytes)) {
    const hint = prefix.toString('latin1') === 'version ' ? ' It is a Git LFS pointer: fetch the real file.' : '';
    fail(`its first 8 bytes claim a header of ${length} bytes; the format allows ${maxHeaderBytes}.${hint}`);
  }
  if (length > BigInt(size - 8))
    fail(`its header is ${length} bytes long by its own account, but the file has ${size}: it is cut short`);
  const bytes = Buffer.alloc(Number(length));
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, 8 + done);
    if (bytesRead === 0) fail('the file ended inside its header');
    done += bytesRead;
  }
  try {
    return { json: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes), bytes: bytes.length };
  } catch (error) {
    return fail('its header is not UTF-8', error);
  }
}

async function findFile(folderOrFile: string): Promise<string> {
  const exists = async (path: string) => (await stat(path).catch(() => undefined))?.isFile() === true;
  if (await exists(folderOrFile)) return folderOrFile;
  for (const name of defaultNames) {
    const file = join(folderOrFile, name);
    if (await exists(file)) return file;
  }
  throw new KelpieError(
    `expected a safetensors file, or a folder with ${defaultNames.map((name) => `\`${name}\``).join(' or ')}, and found none`,
    { code: 'safetensors-missing', where: { path: folderOrFile } },
  );
}

async function readIndex(file: string): Promise<{ file: string; names: string[] }[]> {
  const { weight_map: map } = await readJsonFile(file);
  const fail = (message: string, tensor?: string): never => {
    throw new KelpieError(message, {
      code: 'safetensors-index',
      where: tensor === undefined ? { file } : { file, tensor },
    });
  };
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    return fail('expected `weight_map`, an object from tensor names to file names');
  }
  const shards = new Map<string, string[]>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (
      typeof shard !== 'string' ||
      shard !== basename(shard) ||
      shard.includes('\\') ||
      !shard.endsWith('.safetensors')
    ) {
      fail(`expected the name of a .safetensors file beside the index, got ${JSON.stringify(shard)}`, tensor);
    }
    const names = shards.get(shard);
    if (names === undefined) shards.set(shard, [tensor]);
    else names.push(tensor);
  }
  const result = [];
  for (const [shard, names] of [...shards].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const path = join(dirname(file), shard);
    if ((await stat(path).catch(() => undefined)) === undefined) {
      fail(`the index names the shard \`${shard}\`, which is not there: fetch it`);
    }
    result.push({ file: path, names });
  }
  return result;
}
