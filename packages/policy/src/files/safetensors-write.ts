import type { FileHandle } from 'node:fs/promises';
import { endianness } from 'node:os';
import { KelpieError } from '../errors.js';
import { writeFileAtomic } from './atomic.js';
import { bfloat16FromNumber, float16FromNumber } from './half.js';
import { bytesOf } from './safetensors.js';
import { bitsOfDtype, maxHeaderBytes, type TensorDtype } from './safetensors-header.js';

export type WritableDtype = 'F64' | 'F32' | 'F16' | 'BF16';

type Numbers = Float32Array | Float64Array;

/** Numbers are rounded to `dtype`; a Uint8Array is taken as bytes that are already in `dtype`, which must then be given. */
export type TensorToWrite = {
  readonly name: string;
  readonly shape: readonly number[];
} & (
  | { readonly dtype?: WritableDtype; readonly data: Numbers | (() => Numbers | Promise<Numbers>) }
  | { readonly dtype: TensorDtype; readonly data: Uint8Array | (() => Uint8Array | Promise<Uint8Array>) }
);

export interface WriteSafetensorsOptions {
  /** Default `{ format: 'pt' }`, without which the Python library refuses to load. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** For tensors that name none. Default F32. Narrower dtypes are rounded to nearest, ties to even. */
  readonly dtype?: WritableDtype;
}

/**
 * Writes a safetensors file whole or not at all, one tensor in memory at a time where `data` is a function. The bytes
 * depend on the contents alone: wide dtypes first, so that every tensor is aligned, then by name (code units), metadata
 * by name, the header padded with spaces to a multiple of 8.
 */
export async function writeSafetensors(
  file: string,
  tensors: Iterable<TensorToWrite>,
  { metadata = { format: 'pt' }, dtype = 'F32' }: WriteSafetensorsOptions = {},
): Promise<void> {
  if (endianness() !== 'LE')
    throw new KelpieError('safetensors are little-endian, this machine is not', { code: 'endianness' });
  const planned = plan(tensors, dtype, file);
  const header = encodeHeader(planned, metadata, file);
  await writeFileAtomic(file, async (handle) => {
    await writeFully(handle, header);
    for (const tensor of planned) await writeTensor(handle, tensor, file);
  });
}

interface Planned {
  readonly tensor: TensorToWrite;
  readonly dtype: TensorDtype;
  readonly elements: number;
  readonly begin: number;
  readonly end: number;
}

function plan(tensors: Iterable<TensorToWrite>, dtype: WritableDtype, file: string): Planned[] {
  const sized = [...tensors].map((tensor) => {
    const fail = (message: string): never => {
      throw new KelpieError(message, { code: 'safetensors-write', where: { file, tensor: tensor.name } });
    };
    const elements = tensor.shape.reduce((product, size) => product * size, 1);
    if (!tensor.shape.every((size) => Number.isSafeInteger(size) && size >= 0) || !Number.isSafeInteger(elements)) {
      fail(`expected a shape of whole numbers of at least 0, got [${tensor.shape}]`);
    }
    if (tensor.name === '__metadata__') fail('the format keeps this name for itself');
    const own = tensor.dtype ?? dtype;
    const bytes = (elements * bitsOfDtype[own]) / 8;
    if (!Number.isSafeInteger(bytes)) fail(`shape [${tensor.shape}] of ${own} does not fill whole bytes`);
    return { tensor, dtype: own, elements, bytes };
  });
  sized.sort(
    (a, b) =>
      bitsOfDtype[b.dtype] - bitsOfDtype[a.dtype] ||
      (a.tensor.name < b.tensor.name ? -1 : a.tensor.name > b.tensor.name ? 1 : 0),
  );
  const names = new Set<string>();
  let begin = 0;
  return sized.map(({ bytes, ...rest }) => {
    if (names.has(rest.tensor.name)) {
      throw new KelpieError('two tensors of the same name were to be written', {
        code: 'safetensors-write',
        where: { file, tensor: rest.tensor.name },
      });
    }
    names.add(rest.tensor.name);
    const planned = { ...rest, begin, end: begin + bytes };
    begin = planned.end;
    return planned;
  });
}

function encodeHeader(
  planned: readonly Planned[],
  metadata: Readonly<Record<string, string>>,
  file: string,
): Uint8Array {
  const entries: [string, unknown][] = planned.map(({ tensor, dtype, begin, end }) => [
    tensor.name,
    { dtype, shape: tensor.shape, data_offsets: [begin, end] },
  ]);
  const sorted = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  if (sorted.length > 0) entries.unshift(['__metadata__', asObject(sorted)]);
  const json = Buffer.from(jsonObject(entries), 'utf8');
  const padded = Math.ceil(json.length / 8) * 8;
  if (padded > maxHeaderBytes) {
    throw new KelpieError(`the header would be ${padded} bytes; the format allows ${maxHeaderBytes}`, {
      code: 'safetensors-write',
      where: { file },
    });
  }
  const bytes = Buffer.alloc(8 + padded, ' ');
  bytes.writeBigUInt64LE(BigInt(padded));
  json.copy(bytes, 8);
  return bytes;
}

/** An object literal would move names like `1` to the front, and lose `__proto__`. */
function jsonObject(entries: readonly [string, unknown][]): string {
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${value instanceof Raw ? value.json : JSON.stringify(value)}`).join(',')}}`;
}

class Raw {
  constructor(readonly json: string) {}
}

function asObject(entries: readonly [string, string][]): Raw {
  return new Raw(jsonObject(entries));
}

const chunkElements = 1 << 18;

async function writeTensor(
  handle: FileHandle,
  { tensor, dtype, elements, begin, end }: Planned,
  file: string,
): Promise<void> {
  const data = typeof tensor.data === 'function' ? await tensor.data() : tensor.data;
  const expected = data instanceof Uint8Array ? end - begin : elements;
  if (data.length !== expected) {
    throw new KelpieError(
      `shape [${tensor.shape}] of ${dtype} needs ${expected} ${data instanceof Uint8Array ? 'bytes' : 'numbers'}, got ${data.length}`,
      { code: 'safetensors-write', where: { file, tensor: tensor.name } },
    );
  }
  if (data instanceof Uint8Array) return writeFully(handle, data);
  if (dtype === 'F32' && data instanceof Float32Array) return writeFully(handle, bytesOf(data));
  if (dtype === 'F64' && data instanceof Float64Array) return writeFully(handle, bytesOf(data));
  const encode = encoders[dtype as WritableDtype];
  if (encode === undefined) {
    throw new KelpieError(`numbers can be written as ${Object.keys(encoders).join(', ')}, not as ${dtype}`, {
      code: 'safetensors-write',
      where: { file, tensor: tensor.name },
    });
  }
  for (let at = 0; at < data.length; at += chunkElements) {
    await writeFully(handle, encode(data.subarray(at, at + chunkElements)));
  }
}

const encoders: Record<WritableDtype, (numbers: Numbers) => Uint8Array> = {
  F64: (numbers) => bytesOf(Float64Array.from(numbers)),
  F32: (numbers) => bytesOf(Float32Array.from(numbers)),
  F16: (numbers) => halves(numbers, float16FromNumber),
  BF16: (numbers) => halves(numbers, bfloat16FromNumber),
};

function halves(numbers: Numbers, encode: (value: number) => number): Uint8Array {
  const result = new Uint16Array(numbers.length);
  for (let i = 0; i < numbers.length; i++) result[i] = encode(numbers[i]!);
  return new Uint8Array(result.buffer);
}

async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, 1 << 26));
    done += bytesWritten;
  }
}
