import { describe, expect, it } from 'vitest';
import { Builder } from './builder.js';
import { withoutIdentities } from './identities.js';

const start = () => {
  const g = new Builder({ dtype: 'float32', name: 'g' });
  return { g, x: g.input('x', 'float32', [2]) };
};
const shape = ({ nodes, outputs }: ReturnType<Builder['build']>) => ({
  nodes: nodes.map(({ opType, inputs, outputs }) => [opType, ...inputs, '->', ...outputs].join(' ')),
  outputs: outputs.map(({ name }) => name),
});

describe('outputs that are only named by an Identity', () => {
  it('are made by the node itself, and read by their name', () => {
    const { g, x } = start();
    const y = g.exp(x);
    g.output('z', g.neg(y));
    g.output('y', y);
    expect(shape(withoutIdentities(g.build()))).toEqual({ nodes: ['Exp x -> y', 'Neg y -> z'], outputs: ['z', 'y'] });
  });

  it('keep it where a value comes in, leaves twice, or is an output already', () => {
    const { g, x } = start();
    const y = g.exp(x);
    g.output('given', x);
    g.output('first', y);
    g.output('second', y);
    const graph = withoutIdentities(g.build());
    expect(shape(graph)).toEqual({
      nodes: ['Exp x -> first', 'Identity x -> given', 'Identity first -> second'],
      outputs: ['given', 'first', 'second'],
    });
    expect(withoutIdentities(graph)).toBe(graph);
  });
});
