import { Builder, encodeModel } from '@kelpie/onnx';
import fc from 'fast-check';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import type { FloatArray, Weights } from '../parameters.js';
import { type AdamWStep, type AdamWTensor, adamw, sumOfSquares } from './adamw.js';
import { TrainingMemory } from './training-memory.js';

const bits = (x: FloatArray) => [...new Uint32Array(x.slice().buffer)];

/** Any finite float32: zeros of both signs, denormals and the largest come often. */
const number = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.float({ min: -2, max: 2, noNaN: true }),
  fc.constantFrom(0, -0, 2 ** -149, -(2 ** -149), 2 ** -127, 2 ** -126, 2 ** 127, -(2 ** 127)),
);
const step: fc.Arbitrary<Omit<AdamWStep, 'stepsDone'>> = fc.record({
  learningRate: fc.double({ min: 1e-8, max: 1, noNaN: true }),
  betas: fc.constantFrom([0.9, 0.999] as const, [0, 0] as const, [0.3, 0.95] as const),
  eps: fc.constantFrom(1e-8, 1e-15, 1),
  weightDecay: fc.constantFrom(0, 0.01, 0.3),
  gradientScale: fc.constantFrom(1, 0.37, 1e-20),
});
const tensors = fc.array(fc.tuple(fc.nat(70), fc.boolean()), { minLength: 1, maxLength: 9 }).chain((sizes) =>
  fc.tuple(
    ...sizes.map(([length, decays]) => {
      const numbers = fc.array(number, { minLength: length, maxLength: length });
      return fc.record({
        parameter: numbers,
        gradients: fc.tuple(numbers, numbers, numbers),
        decays: fc.constant(decays),
      });
    }),
  ),
);

test('property: whatever memory the tensors are in, sums and updates have the bits of the plain loops', () => {
  fc.assert(
    // A block of 1,024 bytes holds 64 numbers: tensors are spread over several, and those beyond it have arrays of their own.
    fc.property(tensors, step, fc.constantFrom(2 ** 20, 1024), (all, options, blockBytes) => {
      const name = (i: number) => `tensor ${i}`;
      const expected = all.map(({ parameter, decays }) => ({
        tensor: {
          parameter: Float32Array.from(parameter),
          gradient: new Float32Array(parameter.length),
          m: new Float32Array(parameter.length),
          v: new Float32Array(parameter.length),
        } satisfies AdamWTensor,
        decays,
      }));
      const weights: Weights = new Map(
        expected.map(({ tensor: { parameter } }, i) => [
          name(i),
          { shape: [parameter.length], data: parameter.slice() },
        ]),
      );
      const memory = new TrainingMemory(weights, [...weights.keys()], 'float32', blockBytes);
      const decays = new Set([...weights.keys()].filter((_, i) => all[i]!.decays));
      for (const stepsDone of [0, 1, 2] as const) {
        for (const [i, { gradients }] of all.entries()) {
          expected[i]!.tensor.gradient.set(gradients[stepsDone]);
          memory.gradients.get(name(i))!.data.set(gradients[stepsDone]);
        }
        expect(memory.sumsOfSquares()).toEqual(expected.map(({ tensor }) => sumOfSquares(tensor.gradient)));
        memory.adamw(decays, { ...options, stepsDone });
        for (const [i, { tensor, decays }] of expected.entries()) {
          adamw(tensor, decays, { ...options, stepsDone });
          expect(bits(weights.get(name(i))!.data)).toEqual(bits(tensor.parameter));
          expect(bits(memory.m.get(name(i))!.data)).toEqual(bits(tensor.m));
          expect(bits(memory.v.get(name(i))!.data)).toEqual(bits(tensor.v));
          expect(bits(memory.gradients.get(name(i))!.data)).toEqual(bits(tensor.gradient));
        }
      }
    }),
  );
});

test('sums of long gradients of different lengths have the bits of the plain loop', () => {
  const lengths = [100_003, 7, 0, 40_000, 65_537, 1, 3, 99_999];
  const weights: Weights = new Map(
    lengths.map((length, i) => [`${i}`, { shape: [length], data: new Float32Array(length) }]),
  );
  const memory = new TrainingMemory(weights, [...weights.keys()], 'float32');
  const gradients = lengths.map((length, k) =>
    Float32Array.from({ length }, (_, i) => Math.sin(i * (k + 1)) / (i + 1)),
  );
  for (const [i, gradient] of gradients.entries()) memory.gradients.get(`${i}`)!.data.set(gradient);
  expect(memory.sumsOfSquares()).toEqual(gradients.map(sumOfSquares));
  memory.gradients.get('3')!.data[5] = Number.NaN;
  expect(memory.sumsOfSquares().map(Number.isFinite)).toEqual(lengths.map((_, i) => i !== 3));
});

test('parameters move in, and ONNX Runtime reads and writes them where they are', async () => {
  const start = Float32Array.of(1, 2, 3, 4, 5);
  const weights: Weights = new Map([['w', { shape: [5], data: start }]]);
  const memory = new TrainingMemory(weights, ['w'], 'float32');
  const { data } = weights.get('w')!;
  expect(data).toEqual(start);
  expect(data.buffer).not.toBe(start.buffer);

  const g = new Builder({ name: 'double' });
  const x = g.input('x', 'float32', [5]);
  g.output('y', g.add(x, x));
  const session = await InferenceSession.create(encodeModel(g.build()));
  const gradient = memory.gradients.get('w')!.data;
  const tensor = (array: FloatArray) => new Tensor('float32', array as Float32Array, [5]);
  const run = () => session.run({ x: tensor(data) }, { y: tensor(gradient) });
  await run();
  expect([...gradient]).toEqual([2, 4, 6, 8, 10]);
  data[0] = 7;
  await run();
  expect(gradient[0]).toBe(14);
  await session.release();
});
