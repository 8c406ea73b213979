import { Builder } from '@kelpie/onnx';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { floats, floatTensor, type Session, Sessions, Tensor } from './sessions.js';

/** 16 MiB of float32. */
const ROWS = 4096;
const WIDTH = 1024;

describe('outputs of a run', () => {
  const sessions = new Sessions({ threads: 1, verbatim: false });
  let session: Session;
  let unsized: Session;

  beforeAll(async () => {
    session = await sessions.get('sized', () => {
      const g = new Builder();
      const x = g.input('x', 'float32', ['rows', WIDTH]);
      g.output('twice', g.scale(x, 2));
      g.output('places', g.emit('ArgMax', [x], { axis: 1, keepdims: 0 })[0]!);
      g.output('row', g.gather(x, g.input('at', 'int64', [1])));
      return g.build();
    });
    unsized = await sessions.get('unsized', () => {
      const g = new Builder();
      const count = g.input('count', 'int64', [1]);
      g.output(
        'top',
        g.emit('TopK', [g.input('x', 'float32', ['rows', WIDTH]), count], { axis: 1 }, { outputs: 2 })[0]!,
      );
      return g.build();
    });
  });
  afterAll(() => sessions.dispose());

  const x = (rows: number) =>
    floatTensor(
      Float32Array.from({ length: rows * WIDTH }, (_, i) => (i * 7919) % 1009),
      [rows, WIDTH],
    );
  const integer = (n: number) => new Tensor('int64', BigInt64Array.of(BigInt(n)), [1]);

  test.each([1, ROWS])(
    'are the same for %i rows, whether memory is given, made before, or made by the run',
    async (rows) => {
      const given = x(rows);
      const feeds = new Map([['x', given] as const, ['at', integer(0)] as const]);
      const numbers = floats(given);
      const into = floatTensor(new Float32Array(rows * WIDTH), [rows, WIDTH]);
      for (const fetches of [new Map(), new Map([['twice', into]])]) {
        const { twice, places, row } = await session.run(feeds, fetches);
        expect(twice!.dims).toEqual([rows, WIDTH]);
        expect(floats(twice!).every((value, i) => value === 2 * numbers[i]!)).toBe(true);
        const largest = Math.max(...numbers.subarray(0, WIDTH));
        expect(places!.dims).toEqual([rows]);
        expect(numbers[Number((places!.data as BigInt64Array)[0])]).toBe(largest);
        expect([...floats(row!)]).toEqual([...numbers.subarray(0, WIDTH)]);
        if (fetches.size > 0) expect(twice).toBe(into);
      }
    },
  );

  test('are not copied out of memory that was given', async () => {
    const feeds = new Map([['x', x(ROWS)] as const, ['at', integer(0)] as const]);
    const fetches = new Map([['twice', floatTensor(new Float32Array(ROWS * WIDTH), [ROWS, WIDTH])]]);
    await session.run(feeds, fetches);
    const before = process.memoryUsage().arrayBuffers;
    await session.run(feeds, fetches);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(ROWS * WIDTH);
  });

  test('come back where their sizes are not known before the run', async () => {
    const { top } = await unsized.run(new Map([['x', x(ROWS)] as const, ['count', integer(WIDTH)] as const]));
    expect(top!.dims).toEqual([ROWS, WIDTH]);
    expect(floats(top!)[0]).toBe(Math.max(...floats(x(1))));
  });

  test('a run that fails says so, and in which graph', async () => {
    const feeds = new Map([['x', x(ROWS)] as const, ['at', integer(ROWS)] as const]);
    await expect(session.run(feeds)).rejects.toThrow(/graph `sized` failed: .*out of (data )?bounds/s);
  });
});
