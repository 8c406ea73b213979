import { Builder, differentiate, encodeModel, type Graph, kindOf, ops } from '@kelpie/onnx';
import { describe, expect, test } from 'vitest';
import { evaluate, type NdArray, ndarray } from './evaluate.js';
import { type Spec, specs } from './specs.js';
import {
  basis,
  distance,
  dot,
  type Float,
  feedsOf,
  isWanted,
  nameOf,
  random,
  randomLike,
  run,
  slope,
  trial,
  wrongTypes,
} from './trial.js';

const seed = Number(process.env.SEED ?? 1);
console.info(`operators: seed ${seed} (set SEED to change it)`);

/** Relative to the largest number of each array. */
const tolerance = {
  /** Five-point differences of the float64 evaluator; measured 4e-9 at worst, where outputs are near 500. */
  differences: 1e-8,
  /** The same where constants of the graph (1/√2, ε) were rounded to float32. */
  roundedConstants: 5e-6,
  /** The evaluator against itself, sums in another order. */
  reordered: 1e-12,
  float64: 1e-10,
  float32: 5e-6,
};

const named = specs.map((spec) => ({ name: nameOf(spec), spec }));
const differentiable = named.filter(({ spec }) => trial(spec, { dtype: 'float64' }).joint !== undefined);
const symbolic = named.filter(({ spec }) =>
  spec.inputs.some(
    (input) => 'shape' in input && input.kind !== 'constant' && input.shape.some((dim) => dim === 5 || dim === 7),
  ),
);

/** Feeds for the forward inputs and the cotangents. */
function prepare(spec: Spec, dtype: Float, options: { symbolic?: boolean; twice?: boolean; only?: string[] } = {}) {
  const next = random(seed, nameOf(spec));
  const made = trial(spec, { dtype, ...options });
  const feeds = feedsOf(spec, dtype, next);
  const values = evaluate(made.graph, feeds);
  for (const name of made.through) feeds[`d/${name}`] = randomLike(values.get(name)!, next);
  return { ...made, feeds, values, next };
}

function gradients(joint: Graph, feeds: Record<string, NdArray>, wanted: readonly string[]): NdArray[] {
  const values = evaluate(joint, feeds);
  return wanted.map((name) => values.get(`grad/${name}`)!);
}

function close(actual: NdArray, expected: NdArray, bound: number, what: string): void {
  const off = distance(actual, expected);
  if (off <= bound) return;
  expect.fail(
    `${what}: off by ${off.toExponential(2)}, allowed ${bound}; seed ${seed}\n` +
      `  got      [${actual.shape}] ${[...actual.data].slice(0, 12).join(' ')}\n` +
      `  expected [${expected.shape}] ${[...expected.data].slice(0, 12).join(' ')}`,
  );
}

describe('every operator is tried', () => {
  const tried = (opType: string, domain: string) =>
    specs.filter((spec) => spec.op === opType && (spec.domain ?? '') === domain);

  test.each(ops.all().map((op) => ({ op, name: op.opType })))('$name', ({ op }) => {
    const own = tried(op.opType, op.domain);
    expect(own, `\`${op.opType}\` has no spec in test/onnx/specs.ts`).not.toEqual([]);
    if (op.vjp === undefined) return;
    for (const i of op.inputs.keys()) {
      if (kindOf(op, i) !== 'differentiable') continue;
      const wanted = own.some((spec) => spec.inputs[i] !== undefined && isWanted(spec.inputs[i]));
      expect(wanted, `no spec of \`${op.opType}\` wants the gradient of input ${i}`).toBe(true);
    }
  });
});

describe('gradient = finite difference', () => {
  describe.each([
    { dtype: 'float64', bound: tolerance.differences },
    { dtype: 'float32', bound: tolerance.roundedConstants },
  ] as const)('$dtype graph', ({ dtype, bound }) => {
    test.each(differentiable)('$name', ({ spec }) => {
      const { graph, joint, wanted, through, feeds, values, next } = prepare(spec, dtype);
      const elements = wanted.reduce((n, name) => n + feeds[name]!.data.length, 0);
      const outputs = through.reduce((n, name) => n + values.get(name)!.data.length, 0);
      if (elements * outputs <= 200) return fullJacobian();

      const direction = Object.fromEntries(wanted.map((name) => [name, randomLike(feeds[name]!, next)]));
      const moved = slope(graph, feeds, direction, through);
      const expected = through.reduce((sum, name, k) => sum + dot(feeds[`d/${name}`]!, moved[k]!), 0);
      const pulled = gradients(joint!, feeds, wanted);
      const actual = wanted.reduce((sum, name, i) => sum + dot(direction[name]!, pulled[i]!), 0);
      const scale = wanted.reduce(
        (sum, name, i) => sum + dot(pulled[i]!, pulled[i]!) + dot(direction[name]!, direction[name]!),
        0,
      );
      expect(Math.abs(actual - expected) / scale, `along a random direction; seed ${seed}`).toBeLessThan(bound);

      function fullJacobian() {
        const columns = wanted.map((name) =>
          Array.from(feeds[name]!.data, (_, at) => slope(graph, feeds, { [name]: basis(feeds[name]!, at) }, through)),
        );
        for (const [k, output] of through.entries()) {
          for (const row of values.get(output)!.data.keys()) {
            const unit = { ...feeds };
            for (const name of through) unit[`d/${name}`] = basis(values.get(name)!, name === output ? row : -1);
            for (const [i, pulled] of gradients(joint!, unit, wanted).entries()) {
              const data = Float64Array.from(columns[i]!, (column) => column[k]!.data[row]!);
              close(pulled, { ...pulled, data }, bound, `row ${row} of ${output}, gradient of ${wanted[i]}`);
            }
          }
        }
      }
    });
  });
});

describe('what is asked for changes no number', () => {
  test.each(differentiable)('$name', ({ spec }) => {
    const { joint, wanted, through, feeds } = prepare(spec, 'float64');
    const all = gradients(joint!, feeds, wanted);

    for (const [i, name] of wanted.entries()) {
      const alone = trial(spec, { dtype: 'float64', only: [name] });
      close(gradients(alone.joint!, feeds, [name])[0]!, all[i]!, tolerance.reordered, `gradient of ${name} alone`);
    }

    const twice = trial(spec, { dtype: 'float64', twice: true });
    const both = { ...feeds };
    for (const name of through) {
      const d = feeds[`d/${name}`]!;
      both[`d/${name}+`] = { ...d, data: d.data.map((value) => 2 * value) };
    }
    for (const [i, sum] of gradients(twice.joint!, both, wanted).entries()) {
      const expected = { ...all[i]!, data: all[i]!.data.map((value) => 3 * value) };
      close(sum, expected, tolerance.reordered, `gradient of ${wanted[i]}, used twice`);
    }
  });
});

describe('inferred types are the real ones', () => {
  test.each(named)('$name', ({ spec }) => {
    const { graph, joint, feeds } = prepare(spec, 'float32');
    expect(wrongTypes(joint ?? graph, evaluate(joint ?? graph, feeds))).toEqual([]);
  });

  test.each(symbolic)('$name, symbolic', ({ spec }) => {
    const fixed = prepare(spec, 'float32');
    const { graph, joint, feeds, wanted } = prepare(spec, 'float32', { symbolic: true });
    const values = evaluate(joint ?? graph, feeds);
    expect(wrongTypes(joint ?? graph, values)).toEqual([]);
    for (const output of graph.outputs) {
      close(values.get(output.name)!, fixed.values.get(output.name)!, 0, `output ${output.name}`);
    }
    if (joint === undefined) return;
    for (const [i, expected] of gradients(fixed.joint!, feeds, wanted).entries()) {
      close(values.get(`grad/${wanted[i]}`)!, expected, tolerance.roundedConstants, `gradient of ${wanted[i]}`);
    }
  });
});

describe('ONNX Runtime = evaluator', () => {
  /** The gradient graph holds nodes of opset 21; an older node is run forward only, under its own. */
  const runnable = (spec: Spec, { graph, joint }: { graph: Graph; joint: Graph | undefined }): Graph => {
    const chosen = spec.opset !== undefined && spec.opset < 21 ? graph : (joint ?? graph);
    return spec.opset === undefined ? chosen : { ...chosen, opsets: { ...chosen.opsets, '': spec.opset } };
  };

  async function compare(spec: Spec, dtype: Float, options: { symbolic?: boolean } = {}) {
    const made = prepare(spec, dtype, options);
    const graph = runnable(spec, made);
    const expected = evaluate(graph, made.feeds);
    const actual = await run(encodeModel(graph), made.feeds);
    for (const { name } of graph.outputs) {
      const real = expected.get(name)!;
      // Statistics of a norm are float32 in every graph.
      const bound = tolerance[real.dtype === 'float32' || real.dtype === 'float64' ? real.dtype : dtype];
      const own = dtype === 'float64' && typeof spec.float64 === 'number' ? spec.float64 : bound;
      close(actual[name]!, real, own, `output ${name}`);
    }
  }

  test.each(named)('$name, float32', async ({ spec }) => compare(spec, 'float32'));

  test.each(symbolic)('$name, float32, symbolic', async ({ spec }) => compare(spec, 'float32', { symbolic: true }));

  test.each(named)('$name, float64', async ({ spec }) => {
    if (spec.float64 === 'missing')
      await expect(compare(spec, 'float64')).rejects.toThrow(/implementation|kernel|invalid/);
    else await compare(spec, 'float64');
  });
});

describe('variants without a rule are refused', () => {
  const matrix = { kind: 'distinct', shape: [2, 2] } as const;
  const indices = { kind: 'index', shape: [2, 1], below: 2, unique: true, negative: false } as const;
  const pads = { kind: 'constant', dtype: 'int64', shape: [4], values: [1, 0, 1, 0] } as const;
  const refused: readonly (Spec & { because: RegExp })[] = [
    { op: 'MatMul', inputs: [{ ...matrix, shape: [2] }, matrix], because: /a product with a vector/ },
    {
      op: 'FusedMatMul',
      domain: 'com.microsoft',
      attributes: { transBatchA: 1 },
      inputs: [matrix, matrix],
      because: /transposing batch axes/,
    },
    { op: 'ReduceL2', attributes: { noop_with_empty_axes: 1 }, inputs: [matrix], because: /noop_with_empty_axes/ },
    { op: 'ReduceSum', inputs: [matrix, { ...indices, shape: [1] }], because: /axes that are computed/ },
    { op: 'GatherND', attributes: { batch_dims: 1 }, inputs: [matrix, indices], because: /gradient with batch_dims/ },
    {
      op: 'ScatterND',
      attributes: { reduction: 'mul' },
      inputs: [matrix, indices, matrix],
      because: /gradient of reduction 'mul'/,
    },
    { op: 'Pad', attributes: { mode: 'reflect' }, inputs: [matrix, pads], because: /gradient of mode 'reflect'/ },
    { op: 'Cast', attributes: { to: 17 }, inputs: [matrix], because: /data type number 17/ },
    { op: 'Softmax', attributes: { axis: 2 }, inputs: [matrix], because: /axis 2 is outside a value of rank 2/ },
  ];
  test.each(refused.map((spec) => ({ name: nameOf(spec), spec })))('$name', ({ spec }) => {
    expect(() => trial(spec, { dtype: 'float32' })).toThrow(spec.because);
  });
});

describe('conventions where the derivative does not exist', () => {
  /** Gradient of the sum of the outputs. */
  function gradient(
    op: string,
    numbers: readonly (readonly number[])[],
    attributes: Record<string, number> = {},
  ): number[][] {
    const g = new Builder({ dtype: 'float64' });
    const inputs = numbers.map((row, i) => g.input(`x${i}`, 'float64', [row.length]));
    g.output('y', g.emit(op, inputs, attributes)[0]!);
    const wanted = inputs.map(({ name }) => name);
    const { graph } = differentiate(g.build(), { outputs: ['y'], wanted });
    const feeds = Object.fromEntries(numbers.map((row, i) => [`x${i}`, ndarray('float64', [row.length], row)]));
    const y = evaluate(g.build(), feeds).get('y')!;
    const values = evaluate(graph, { ...feeds, 'd/y': { ...y, data: y.data.map(() => 1) } });
    return wanted.map((name) => [...values.get(`grad/${name}`)!.data]);
  }

  test('Relu and Abs at zero: none', () => {
    expect(gradient('Relu', [[-1, 0, 1]])).toEqual([[0, 0, 1]]);
    expect(gradient('Abs', [[-1, 0, 1]])).toEqual([[-1, 0, 1]]);
  });
  test('Max and Min of equal operands: to the first', () => {
    expect(
      gradient('Max', [
        [1, 2],
        [1, 3],
        [1, 3],
      ]),
    ).toEqual([
      [1, 0],
      [0, 1],
      [0, 0],
    ]);
    expect(
      gradient('Min', [
        [1, 2],
        [1, 1],
      ]),
    ).toEqual([
      [1, 0],
      [0, 1],
    ]);
  });
  test('ReduceMax of equal elements: shared evenly', () => {
    expect(gradient('ReduceMax', [[3, 1, 3]], { keepdims: 0 })).toEqual([[0.5, 0, 0.5]]);
  });
  test('Clip on a bound: as inside', () => {
    expect(gradient('Clip', [[-1, 0, 1, 2], [0], [1]])[0]).toEqual([0, 1, 1, 0]);
  });
  test('ReduceL2 at zero: none', () => {
    expect(gradient('ReduceL2', [[0, 0]])).toEqual([[0, 0]]);
  });
  test('Pow at base zero: none for the exponent, none for the base where the exponent is zero', () => {
    expect(
      gradient('Pow', [
        [0, 0, 0],
        [0, 1, 2],
      ]),
    ).toEqual([
      [0, 1, 0],
      [0, 0, 0],
    ]);
  });
});
