import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KelpieError } from '../errors.js';
import { readSafetensors } from './safetensors.js';
import { type TensorToWrite, writeSafetensors } from './safetensors-write.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kelpie-safetensors-'));
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;
const newFile = () => join(folder, `${count++}.safetensors`);

function fileOf(header: unknown, data: Uint8Array = new Uint8Array(0), length?: bigint): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(json.length));
  return Buffer.concat([prefix, json, data]);
}

async function errorOf(promise: Promise<unknown>): Promise<KelpieError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(KelpieError);
  return error as KelpieError;
}

async function errorOfBytes(bytes: Uint8Array): Promise<KelpieError> {
  const file = newFile();
  await writeFile(file, bytes);
  const error = await errorOf(readSafetensors(file));
  expect(error.where).toMatchObject({ file });
  return error;
}

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

describe('reading', () => {
  test('each floating dtype is decoded exactly, integers are listed but not read as floats', async () => {
    const bytes = Buffer.alloc(8 + 4 + 2 + 2 + 8 + 1);
    bytes.writeDoubleLE(Math.PI, 0);
    bytes.writeFloatLE(0.1, 8);
    bytes.writeUInt16LE(0x3555, 12);
    bytes.writeUInt16LE(0x3eab, 14);
    bytes.writeBigInt64LE(-5n, 16);
    const file = newFile();
    const entry = (dtype: string, begin: number, end: number, shape: number[] = [1]) => ({
      dtype,
      shape,
      data_offsets: [begin, end],
    });
    await writeFile(
      file,
      fileOf(
        {
          __metadata__: { format: 'pt' },
          double: entry('F64', 0, 8),
          single: entry('F32', 8, 12),
          half: entry('F16', 12, 14),
          brain: entry('BF16', 14, 16, []),
          id: entry('I64', 16, 24),
          mask: entry('BOOL', 24, 25, [1, 1]),
          none: entry('F32', 25, 25, [0, 7]),
        },
        bytes,
      ),
    );
    const source = await readSafetensors(file);
    expect(source.metadata).toEqual({ format: 'pt' });
    expect([...(await source.readFloat64('double'))]).toEqual([Math.PI]);
    expect([...(await source.read('double'))]).toEqual([Math.fround(Math.PI)]);
    expect([...(await source.read('single'))]).toEqual([Math.fround(0.1)]);
    expect([...(await source.readFloat64('single'))]).toEqual([Math.fround(0.1)]);
    expect([...(await source.read('half'))]).toEqual([0.333251953125]);
    expect([...(await source.readFloat64('brain'))]).toEqual([0.333984375]);
    expect(await source.read('none')).toHaveLength(0);
    expect(source.tensors.get('mask')).toMatchObject({ dtype: 'BOOL', shape: [1, 1], bytes: 1, file });
    for (const name of ['id', 'mask']) {
      const error = await errorOf(source.read(name));
      expect(error).toMatchObject({ code: 'safetensors-dtype', where: { file, tensor: name } });
    }
    expect(Buffer.from(await source.readBytes('id')).readBigInt64LE()).toBe(-5n);
    expect((await errorOf(source.read('singel'))).message).toContain('nearest: `single`');
  });

  test.each([
    ['an empty file', Buffer.alloc(0), /has 0 bytes/],
    [
      'a header length beyond the limit',
      fileOf('{}', undefined, 1n << 62n),
      /claim a header of 4611686018427387904 bytes/,
    ],
    [
      'a header length beyond the file',
      fileOf('{}', undefined, 50_000_000n),
      /header is 50000000 bytes long.*file has 10/,
    ],
    ['a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\n'), /Git LFS pointer/],
    ['a header that is no object', fileOf('[]'), /begins with `{`/],
    ['bad JSON', fileOf('{"a": '), /does not parse/],
    ['bytes that are not UTF-8', fileOf(JSON.stringify({})).fill(0xff, 8), /not UTF-8/],
    ['an entry that is no object', fileOf({ a: 3 }), /expected an object.*tensor `a`/],
    ['an unknown dtype', fileOf({ a: { ...f32(0, 4), dtype: 'F31' } }, new Uint8Array(4)), /one of .*`F32`.*got "F31"/],
    ['a negative size', fileOf({ a: f32(0, 4, [-1]) }, new Uint8Array(4)), /`shape` to be whole numbers/],
    ['a fractional offset', fileOf({ a: f32(0, 4.5, [1]) }, new Uint8Array(5)), /`data_offsets` to be \[begin, end\]/],
    ['offsets in reverse', fileOf({ a: f32(4, 0, [1]) }, new Uint8Array(4)), /in order, got \[4, 0\]/],
    [
      'a shape that overflows',
      fileOf({ a: f32(0, 4, [2 ** 50, 2 ** 50]) }, new Uint8Array(4)),
      /shape .* need .* hold 4/,
    ],
    [
      'a shape of other size',
      fileOf({ a: f32(0, 8, [3]) }, new Uint8Array(8)),
      /need 12 bytes, but `data_offsets` hold 8/,
    ],
    ['a file cut short', fileOf({ a: f32(0, 8) }, new Uint8Array(6)), /end at 8, but the file has only 6/],
    ['an overlap', fileOf({ a: f32(0, 8), b: f32(4, 12) }, new Uint8Array(12)), /from 4, overlap with `a`.*tensor `b`/],
    [
      'a hole',
      fileOf({ a: f32(0, 4), b: f32(8, 12) }, new Uint8Array(12)),
      /bytes 4 to 8, before it, belong to no tensor/,
    ],
    ['bytes behind the last tensor', fileOf({ a: f32(0, 4) }, new Uint8Array(9)), /bytes 4 to 9, the last of the file/],
    [
      'a name twice',
      fileOf(`{"a":${JSON.stringify(f32(0, 4))},"\\u0061":${JSON.stringify(f32(0, 4))}}`, new Uint8Array(4)),
      /twice/,
    ],
    [
      'a key twice',
      fileOf('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', new Uint8Array(4)),
      /twice/,
    ],
    ['metadata that is no text', fileOf({ __metadata__: { a: 1 } }), /`__metadata__` to map names to strings/],
    ['a key too many', fileOf({ a: { ...f32(0, 4), strides: [1] } }, new Uint8Array(4)), /got also `strides`/],
  ])('refuses %s', async (_, bytes, message) => {
    const error = await errorOfBytes(bytes);
    expect(error.code).toBe('safetensors-header');
    expect(error.message).toMatch(message);
  });

  test('a file that changes after its header was read is refused', async () => {
    const file = newFile();
    await writeSafetensors(file, [{ name: 'a', shape: [4], data: new Float32Array(4) }]);
    const source = await readSafetensors(file);
    await truncate(file, 80);
    expect((await errorOf(source.read('a'))).code).toBe('safetensors-changed');
  });

  test('shards are one source, and what the index promises must be there', async () => {
    const shards = await mkdtemp(join(folder, 'shards-'));
    const write = (name: string, tensor: string) =>
      writeSafetensors(join(shards, name), [{ name: tensor, shape: [1], data: Float32Array.of(tensor.length) }]);
    const index = (map: unknown) =>
      writeFile(join(shards, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
    await write('1.safetensors', 'a');
    await write('2.safetensors', 'bb');
    await index({ bb: '2.safetensors', a: '1.safetensors' });
    const source = await readSafetensors(shards);
    expect([...source.tensors.keys()]).toEqual(['a', 'bb']);
    expect([...(await source.read('bb'))]).toEqual([2]);

    await index({ a: '1.safetensors', bb: '1.safetensors' });
    expect(await errorOf(readSafetensors(shards))).toMatchObject({
      code: 'safetensors-index',
      where: { tensor: 'bb' },
    });
    await index({ a: '1.safetensors', bb: '3.safetensors' });
    expect((await errorOf(readSafetensors(shards))).message).toContain('`3.safetensors`, which is not there');
    for (const path of ['../1.safetensors', '/etc/passwd', 7]) {
      await index({ a: path });
      expect((await errorOf(readSafetensors(shards))).code).toBe('safetensors-index');
    }
    await index(['a']);
    expect((await errorOf(readSafetensors(shards))).message).toContain('`weight_map`');
    await write('2.safetensors', 'a');
    await index({ a: '1.safetensors', b: '2.safetensors' });
    expect((await errorOf(readSafetensors(shards))).code).toBe('safetensors-duplicate');
  });

  test('a folder without weights says which names were looked for', async () => {
    const empty = await mkdtemp(join(folder, 'empty-'));
    expect((await errorOf(readSafetensors(empty))).message).toContain('`model.safetensors.index.json`');
  });
});

describe('writing', () => {
  test('the same contents give the same bytes in whatever order, aligned, widest first', async () => {
    const tensors: TensorToWrite[] = [
      { name: '10', shape: [3], data: Float32Array.of(1, 2, 3) },
      { name: '9', shape: [1], data: Float64Array.of(0.1), dtype: 'F64' },
      { name: 'mask', shape: [3], data: Uint8Array.of(1, 0, 1), dtype: 'BOOL' },
      { name: 'b', shape: [2], data: async () => Float64Array.of(0.1, 65520), dtype: 'BF16' },
      { name: 'a', shape: [2], data: Float32Array.of(1 / 3, 65520), dtype: 'F16' },
    ];
    const files = [newFile(), newFile()];
    await writeSafetensors(files[0]!, tensors, { metadata: { z: '1', a: 'ü' } });
    await writeSafetensors(files[1]!, tensors.toReversed(), { metadata: { a: 'ü', z: '1' } });
    const bytes = await readFile(files[0]!);
    expect(bytes.equals(await readFile(files[1]!))).toBe(true);
    expect(Number(bytes.readBigUInt64LE()) % 8).toBe(0);
    const source = await readSafetensors(files[0]!);
    expect([...source.tensors.keys()].sort()).toEqual(['10', '9', 'a', 'b', 'mask']);
    for (const entry of source.tensors.values())
      expect(entry.offset % Math.max(1, entry.bytes / entry.shape[0]!)).toBe(0);
    expect([...(await source.read('a'))]).toEqual([0.333251953125, Number.POSITIVE_INFINITY]);
    expect([...(await source.read('b'))]).toEqual([0.10009765625, 65536]);
    expect([...(await source.readBytes('mask'))]).toEqual([1, 0, 1]);
  });

  test('a failure leaves the old file, and nothing beside it', async () => {
    const own = await mkdtemp(join(folder, 'own-'));
    const file = join(own, 'model.safetensors');
    await writeSafetensors(file, [{ name: 'a', shape: [], data: Float32Array.of(7) }]);
    const bad = { name: 'a', shape: [2], data: () => Float32Array.of(1) };
    expect((await errorOf(writeSafetensors(file, [bad]))).message).toMatch(/needs 2 numbers, got 1.*tensor `a`/);
    expect((await errorOf(writeSafetensors(file, [bad, bad]))).message).toMatch(/two tensors of the same name/);
    expect([...(await (await readSafetensors(file)).read('a'))]).toEqual([7]);
    expect(await readdir(own)).toEqual(['model.safetensors']);
  });
});

describe('properties', () => {
  const name = fc
    .oneof(fc.string({ minLength: 1 }), fc.constantFrom('__proto__', 'constructor', '1', 'a"b\\', 'ü😀', '\u0000'))
    .filter((n) => n !== '__metadata__');
  const tensor = fc.record({
    name,
    shape: fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
    dtype: fc.constantFrom('F32' as const, 'F64' as const),
    seed: fc.array(fc.double(), { minLength: 1, maxLength: 8 }),
  });

  test('what is written is read, bit for bit', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(tensor, { selector: (t) => t.name, maxLength: 6 }),
        fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
        async (tensors, metadata) => {
          const file = newFile();
          const data = tensors.map(({ shape, seed, dtype }) => {
            const size = shape.reduce((a, b) => a * b, 1);
            const values = Float64Array.from({ length: size }, (_, i) => seed[i % seed.length]!);
            return dtype === 'F64' ? values : Float32Array.from(values);
          });
          await writeSafetensors(
            file,
            tensors.map(({ seed: _, ...t }, i) => ({ ...t, data: data[i]! })),
            { metadata },
          );
          const source = await readSafetensors(file);
          expect({ ...source.metadata }).toEqual({ ...metadata });
          expect(source.tensors.size).toBe(tensors.length);
          for (const [i, t] of tensors.entries()) {
            expect(source.tensors.get(t.name)).toMatchObject({ shape: t.shape, dtype: t.dtype });
            expect(await source.readFloat64(t.name)).toEqual(Float64Array.from(data[i]!));
            if (t.dtype === 'F32') expect(await source.read(t.name)).toEqual(data[i]!);
          }
          await rm(file);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('any change of a valid file is read or refused with a KelpieError, without a large allocation', async () => {
    const original = newFile();
    await writeSafetensors(original, [
      { name: 'w', shape: [2, 3], data: new Float32Array(6).fill(1) },
      { name: 'v', shape: [5], data: new Float32Array(5), dtype: 'BF16' },
    ]);
    const bytes = await readFile(original);
    const mutation = fc.oneof(
      fc.record({ at: fc.nat({ max: bytes.length - 1 }), value: fc.nat({ max: 255 }) }),
      fc.record({ cut: fc.nat({ max: bytes.length }) }),
      fc.record({ grow: fc.integer({ min: 1, max: 40 }) }),
      fc.record({
        digit: fc.nat({ max: 20 }),
        by: fc.constantFrom('9', '99999999999', '-1', '1e300', '0.5', 'null', '"x"', '[', ''),
      }),
    );
    const before = process.memoryUsage().arrayBuffers;
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
        const file = newFile();
        let changed: Buffer = Buffer.from(bytes);
        for (const m of mutations) {
          if ('at' in m) changed[m.at % Math.max(1, changed.length)] = m.value;
          else if ('cut' in m) changed = changed.subarray(0, m.cut);
          else if ('grow' in m) changed = Buffer.concat([changed, Buffer.alloc(m.grow)]);
          else {
            const header = changed.subarray(8, 8 + 200).toString('latin1');
            const digits = [...header.matchAll(/\d+/g)];
            const digit = digits[m.digit % Math.max(1, digits.length)];
            if (digit === undefined) continue;
            const text = header.slice(0, digit.index) + m.by + header.slice(digit.index + digit[0].length);
            const prefix = Buffer.from(changed.subarray(0, 8));
            if (changed.length >= 8)
              prefix.writeBigUInt64LE(
                BigInt.asUintN(64, changed.readBigUInt64LE() + BigInt(m.by.length - digit[0].length)),
              );
            changed = Buffer.concat([prefix, Buffer.from(text, 'latin1'), changed.subarray(8 + 200)]);
          }
        }
        await writeFile(file, changed);
        try {
          const source = await readSafetensors(file);
          for (const entry of source.tensors.values()) {
            expect(entry.offset + entry.bytes).toBeLessThanOrEqual(changed.length);
            await source.readBytes(entry.name);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(KelpieError);
        }
        await rm(file);
      }),
      { numRuns: 1000 },
    );
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20);
  });
});
