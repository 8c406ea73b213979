import { KelpieError, messageOf } from '../errors.js';
import { atMostLevels, levelsOf, MAX_LEVELS } from './json.js';

/** Bits of one element, by the format's dtype names. */
export const bitsOfDtype = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
  C64: 64,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const;

export type TensorDtype = keyof typeof bitsOfDtype;

export interface HeaderEntry {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** Offsets of the tensor's bytes from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly HeaderEntry[];
}

/** The format's own limit; a length beyond it is a lie or an attack. */
export const maxHeaderBytes = 100_000_000;

/**
 * Checks everything that a safetensors header claims: `{name: {dtype, shape, data_offsets}}` and `__metadata__`. Shape
 * times dtype is the size of the offsets' range, the ranges lie inside the data, and together cover it once, without hole
 * or overlap.
 */
export function parseHeader(text: string, dataBytes: number, file: string): Header {
  const fail = (message: string, tensor?: string, cause?: unknown): never => {
    throw new KelpieError(message, {
      code: 'safetensors-header',
      where: tensor === undefined ? { file } : { file, tensor },
      ...(cause === undefined ? {} : { cause }),
    });
  };
  if (!text.startsWith('{')) fail('expected a safetensors header, JSON that begins with `{`, but it begins otherwise');
  if (levelsOf(text) > MAX_LEVELS) fail(`expected ${atMostLevels} in the header`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    fail(`expected a safetensors header in JSON, but it does not parse: ${messageOf(error)}`, undefined, error);
  }
  const duplicate = duplicateKey(text);
  if (duplicate !== undefined) fail('the name stands twice in the header: write the file anew', duplicate);

  let metadata: Record<string, string> = {};
  const tensors: HeaderEntry[] = [];
  for (const [name, value] of Object.entries(json as object)) {
    if (name === '__metadata__') {
      if (!isRecord(value) || !Object.values(value).every((item) => typeof item === 'string')) {
        fail('expected `__metadata__` to map names to strings', name);
      }
      metadata = value as Record<string, string>;
    } else tensors.push(parseEntry(name, value, dataBytes, fail));
  }
  checkCoverage(tensors, dataBytes, fail);
  return { metadata, tensors };
}

type Fail = (message: string, tensor?: string) => never;

function parseEntry(name: string, value: unknown, dataBytes: number, fail: Fail): HeaderEntry {
  if (!isRecord(value)) return fail('expected an object with `dtype`, `shape` and `data_offsets`', name);
  const unknown = Object.keys(value).filter((key) => !['dtype', 'shape', 'data_offsets'].includes(key));
  if (unknown.length > 0)
    fail(`expected \`dtype\`, \`shape\` and \`data_offsets\` alone, got also ${list(unknown)}`, name);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(bitsOfDtype, dtype)) {
    return fail(`expected \`dtype\` to be one of ${list(Object.keys(bitsOfDtype))}, got ${short(dtype)}`, name);
  }
  if (!isCounts(shape)) return fail(`expected \`shape\` to be whole numbers of at least 0, got ${short(shape)}`, name);
  if (!isCounts(offsets) || offsets.length !== 2) {
    return fail(`expected \`data_offsets\` to be [begin, end], got ${short(offsets)}`, name);
  }
  const [begin, end] = offsets as [number, number];
  if (end < begin) fail(`expected \`data_offsets\` in order, got [${begin}, ${end}]`, name);
  if (end > dataBytes) {
    fail(
      `its bytes end at ${end}, but the file has only ${dataBytes} behind the header: it is cut short or damaged`,
      name,
    );
  }
  const bits = shape.reduce((product, size) => product * size, bitsOfDtype[dtype as TensorDtype]);
  if (bits !== (end - begin) * 8) {
    fail(`dtype ${dtype} and shape [${shape}] need ${bits / 8} bytes, but \`data_offsets\` hold ${end - begin}`, name);
  }
  return { name, dtype: dtype as TensorDtype, shape, begin, end };
}

function checkCoverage(tensors: readonly HeaderEntry[], dataBytes: number, fail: Fail): void {
  let position = 0;
  let previous = 'the header';
  for (const { name, begin, end } of [...tensors].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < position)
      fail(`its bytes, from ${begin}, overlap with \`${previous}\`, which ends at ${position}`, name);
    if (begin > position) fail(`bytes ${position} to ${begin}, before it, belong to no tensor`, name);
    position = end;
    previous = name;
  }
  if (position < dataBytes) fail(`bytes ${position} to ${dataBytes}, the last of the file, belong to no tensor`);
}

/** The first key that an object of the (valid) JSON text holds twice. JSON.parse keeps the last one without a word. */
function duplicateKey(text: string): string | undefined {
  const seen: (Set<string> | undefined)[] = [];
  const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/g;
  let string = '';
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [found] = match;
    if (found === '{') seen.push(new Set());
    else if (found === '[') seen.push(undefined);
    else if (found === '}' || found === ']') seen.pop();
    else if (found === ':') {
      const key = JSON.parse(string) as string;
      const keys = seen.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    } else string = found;
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function list(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(', ');
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
