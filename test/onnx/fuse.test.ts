import { Builder, differentiate, fuse, type Graph, OnnxError, withoutAccumulators } from '@kelpie/onnx';
import { describe, expect, it } from 'vitest';
import { evaluate, type NdArray, ndarray } from './evaluate.js';

const matrix = (rows: number, columns: number, from: number) =>
  ndarray(
    'float64',
    [rows, columns],
    Array.from({ length: rows * columns }, (_, i) => Math.sin(from + i)),
  );

/** hidden = (x w + b) w: w in two products and b in a sum. */
function body() {
  const g = new Builder({ dtype: 'float64', name: 'body' });
  const x = g.input('x', 'float64', [2, 3]);
  const w = g.input('w', 'float64', [3, 3]);
  const b = g.input('b', 'float64', [2, 3]);
  g.output('hidden', g.matmul(g.add(g.matmul(x, w), b), w));
  return differentiate(g.build(), { outputs: ['hidden'], wanted: ['w', 'b'], accumulate: ['w', 'b'] });
}

/** Its nodes are called as those of the body are. */
function middle(): Graph {
  const g = new Builder({ dtype: 'float64', name: 'middle' });
  const hidden = g.input('hidden', 'float64', [2, 3]);
  const v = g.input('v', 'float64', [3, 3]);
  g.output('d/hidden', g.add(g.matmul(hidden, v), hidden));
  g.output('energy', g.sum(g.mul(hidden, hidden), [0, 1], false));
  return g.build();
}

const given: Readonly<Record<string, NdArray>> = {
  x: matrix(2, 3, 1),
  w: matrix(3, 3, 20),
  b: matrix(2, 3, 40),
  v: matrix(3, 3, 60),
  'acc/w': matrix(3, 3, 80),
  'acc/b': matrix(2, 3, 90),
};

const asked = (graph: Graph, feeds: Readonly<Record<string, NdArray>>) =>
  evaluate(graph, Object.fromEntries(graph.inputs.map(({ name }) => [name, feeds[name]!])));

/** One after the other. */
function apart(feeds: Readonly<Record<string, NdArray>>): Map<string, NdArray> {
  const { graph, forwardNodes } = body();
  const forward = { ...graph, nodes: graph.nodes.slice(0, forwardNodes) };
  const cotangent = ndarray('float64', [2, 3], new Float64Array(6));
  const { hidden } = Object.fromEntries(asked(forward, { ...feeds, 'd/hidden': cotangent }));
  const made = asked(middle(), { ...feeds, hidden: hidden! });
  return new Map([...asked(graph, { ...feeds, 'd/hidden': made.get('d/hidden')! }), ['energy', made.get('energy')!]]);
}

const results = ['grad/w', 'grad/b', 'energy'];

describe('a graph between the halves of another', () => {
  const whole = fuse(body(), middle());

  it('gives what the three give one after the other', () => {
    const [together, alone] = [asked(whole, given), apart(given)];
    for (const name of results) expect([...together.get(name)!.data], name).toEqual([...alone.get(name)!.data]);
  });

  it('has no two nodes and no two values of one name', () => {
    const names = whole.nodes.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const values = whole.nodes.flatMap(({ outputs }) => outputs.filter((name) => name !== ''));
    expect(new Set(values).size).toBe(values.length);
    expect(whole.inputs.map(({ name }) => name).sort()).toEqual(Object.keys(given).sort());
  });

  it('may not make what the other makes', () => {
    const g = new Builder({ dtype: 'float64', name: 'middle' });
    g.output('hidden', g.neg(g.input('d', 'float64', [2, 3])));
    expect(() => fuse(body(), g.build())).toThrow(OnnxError);
  });

  it('without accumulators gives what accumulators of zeros give, and reads none', () => {
    const zeros = Object.fromEntries(
      ['acc/w', 'acc/b'].map((name) => [
        name,
        ndarray(
          'float64',
          given[name]!.shape,
          given[name]!.data.map(() => 0),
        ),
      ]),
    );
    const fresh = withoutAccumulators(whole);
    expect(fresh.inputs.filter(({ name }) => name.startsWith('acc/'))).toEqual([]);
    const [without, withZeros] = [asked(fresh, given), asked(whole, { ...given, ...zeros })];
    for (const name of results) expect([...without.get(name)!.data], name).toEqual([...withZeros.get(name)!.data]);
  });
});
