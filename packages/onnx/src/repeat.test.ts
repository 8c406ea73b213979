import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { Builder } from './builder.js';
import { encodeModel } from './proto.js';
import { repeated } from './repeat.js';

/** x goes up by `step` and the turn; all that x ever was is kept. */
function counter() {
  const g = new Builder({ dtype: 'float32', name: 'counter' });
  const x = g.input('x', 'float32', [2]);
  const past = g.input('past', 'float32', ['turns so far', 2]);
  const turn = g.cast(g.input('turn', 'int64', []), 'float32');
  const next = g.output('next', g.add(g.add(x, g.input('step', 'float32', [1])), turn));
  g.output('grown', g.concat([past, g.reshape(next, [1, 2])], 0));
  g.output('double', g.scale(next, 2));
  return g.build();
}

describe('a graph several times in one run', () => {
  const graph = repeated(counter(), {
    turn: 'turn',
    carried: new Map([
      ['x', 'next'],
      ['past', 'grown'],
    ]),
    collected: ['next', 'double'],
  });

  it('reads what it carried, and the other inputs again', async () => {
    expect(graph.inputs.map(({ name }) => name)).toEqual(['turns', 'step', 'first/x', 'first/past']);
    const session = await InferenceSession.create(encodeModel(graph));
    for (const turns of [1, 4]) {
      const outputs = await session.run({
        turns: new Tensor('int64', BigInt64Array.of(BigInt(turns)), []),
        step: new Tensor('float32', [10], [1]),
        'first/x': new Tensor('float32', [1, 2], [2]),
        'first/past': new Tensor('float32', new Float32Array(0), [0, 2]),
      });
      const path = [11, 22, 34, 47].slice(0, turns).flatMap((x) => [x, x + 1]);
      expect(outputs['all/next']!.dims).toEqual([turns, 2]);
      expect([...(outputs['all/next']!.data as Float32Array)]).toEqual(path);
      expect([...(outputs['all/double']!.data as Float32Array)]).toEqual(path.map((x) => 2 * x));
      expect([...(outputs['last/next']!.data as Float32Array)]).toEqual(path.slice(-2));
      expect(outputs['last/grown']!.dims).toEqual([turns, 2]);
      expect([...(outputs['last/grown']!.data as Float32Array)]).toEqual(path);
    }
    await session.release();
  });
});
