import { expect, test } from 'vitest';
import { TrainingMemory } from './optimizers/training-memory.js';
import type { FloatArray, Weights } from './parameters.js';
import { moveTogether, stacked, stackName } from './stacks.js';

const stack = ['a', 'b', 'c'];
const weights = (): Weights =>
  new Map(
    (
      [
        ['b', [1, 2], [5, 6]],
        ['a', [2, 2], [1, 2, 3, 4]],
        ['c', [1, 2], [7, 8]],
      ] as const
    ).map(([name, shape, numbers]) => [name, { shape, data: Float32Array.from(numbers) as FloatArray }]),
  );
const whole = { shape: [4, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8) };

test('matrices that lie anywhere are copied into one', () => {
  const apart = weights();
  expect(stacked(apart, [stack], 'float32').get(stackName(stack))).toEqual(whole);
  expect(apart.size).toBe(3);
});

test('matrices moved together are one matrix without a copy: what changes there changes here', () => {
  const together = weights();
  moveTogether(together, [stack], 'float32');
  expect([...together.values()].map(({ data }) => [...data])).toEqual([
    [5, 6],
    [1, 2, 3, 4],
    [7, 8],
  ]);
  const one = stacked(together, [stack], 'float32').get(stackName(stack))!;
  expect(one).toEqual(whole);
  together.get('c')!.data[1] = -1;
  expect(one.data.at(-1)).toBe(-1);
});

test('of neighbours in another order a copy is made', () => {
  const together = weights();
  moveTogether(together, [['c', 'b', 'a']], 'float32');
  expect(stacked(together, [stack], 'float32').get(stackName(stack))).toEqual(whole);
});

test('trained matrices of whole lanes lie together: steps read what training writes', () => {
  const names = ['a', 'b', 'c'];
  const trained: Weights = new Map(
    names.map((name, i) => [name, { shape: [4, 8 * i + 4], data: new Float32Array(32 * i + 16) }]),
  );
  new TrainingMemory(trained, names, 'float32');
  const shapes: Weights = new Map(
    [...trained].map(([name, { data }]) => [name, { shape: [data.length / 4, 4], data }]),
  );
  const one = stacked(shapes, [names], 'float32').get(stackName(names))!;
  expect(one.data.buffer).toBe(trained.get('a')!.data.buffer);
  trained.get('c')!.data.fill(3);
  expect(one.data.at(-1)).toBe(3);
});
