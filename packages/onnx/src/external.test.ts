import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Builder } from './builder.js';
import { readModel, writeModel } from './external.js';
import type { Graph, Tensor } from './graph.js';
import { encodeModel } from './proto.js';
import { encodeTensor } from './tensor.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kelpie-onnx-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** y = (x a) b + c: two matrices of over 1 KiB, a small vector. */
function twoLayers(): Graph {
  const g = new Builder({ name: 'two' });
  const x = g.input('x', 'float32', ['rows', 20]);
  const a = g.constant(
    'float32',
    [20, 30],
    Array.from({ length: 600 }, (_, i) => Math.sin(i)),
  );
  const b = g.constant(
    'float32',
    [30, 10],
    Array.from({ length: 300 }, (_, i) => Math.cos(i)),
  );
  const c = g.constant(
    'float32',
    [10],
    Array.from({ length: 10 }, (_, i) => i),
  );
  g.output('y', g.add(g.matmul(g.matmul(x, a), b), c));
  return g.build();
}

const weights = (location: string, offset = 0, dims: readonly number[] = [4]): Tensor => ({
  name: 'w',
  dtype: 'float32',
  dims,
  data: { kind: 'external', location, offset, length: 4 * dims.reduce((a, b) => a * b, 1) },
});

const holding = (...initializers: Tensor[]): Graph => ({
  name: 'g',
  inputs: [],
  outputs: [],
  initializers,
  nodes: [],
  values: new Map(),
  opsets: { '': 21 },
});

async function run(model: string | Uint8Array): Promise<number[]> {
  const session = await InferenceSession.create(model as string);
  const x = Float32Array.from({ length: 40 }, (_, i) => i / 7);
  const { y } = await session.run({ x: new OrtTensor('float32', x, [2, 20]) });
  await session.release();
  return Array.from(y!.data as Float32Array);
}

describe('writeModel', () => {
  test('moves initializers of 1 KiB and more to aligned places of a file beside the model', async () => {
    const path = join(folder, 'new', 'model.onnx');
    const graph = twoLayers();
    await writeModel(path, graph);
    expect((await readdir(dirname(path))).sort()).toEqual(['model.onnx', 'model.onnx.data']);
    const model = await readModel(path);
    expect(model.graph.initializers.map(({ data }) => data)).toEqual([
      { kind: 'external', location: 'model.onnx.data', offset: 0, length: 2400 },
      { kind: 'external', location: 'model.onnx.data', offset: 4096, length: 1200 },
      graph.initializers[2]!.data,
    ]);
    for (const [i, tensor] of model.graph.initializers.entries()) {
      expect({ kind: 'bytes', bytes: await model.readExternal(tensor) }).toEqual(graph.initializers[i]!.data);
    }
    expect((await readFile(`${path}.data`)).byteLength).toBe(4096 + 1200);
  });

  test('ONNX Runtime computes the same from the files as from one piece', async () => {
    const path = join(folder, 'model.onnx');
    await writeModel(path, twoLayers());
    expect(await run(path)).toEqual(await run(encodeModel(twoLayers())));
  });

  test('writes no data file when nothing is large', async () => {
    await writeModel(join(folder, 'small.onnx'), holding(encodeTensor('w', 'float32', [2], [1, 2])));
    expect(await readdir(folder)).toEqual(['small.onnx']);
  });

  test('a model read from files is written elsewhere, or over itself', async () => {
    const path = join(folder, 'model.onnx');
    await writeModel(path, twoLayers());
    const { graph, readExternal } = await readModel(path);
    await writeModel(join(folder, 'b', 'copy.onnx'), graph, { readExternal });
    await writeModel(path, graph, { readExternal });
    expect(await run(join(folder, 'b', 'copy.onnx'))).toEqual(await run(encodeModel(twoLayers())));
    expect(await run(path)).toEqual(await run(encodeModel(twoLayers())));
    await expect(writeModel(path, graph)).rejects.toMatchObject({
      code: 'external',
      where: { location: 'model.onnx.data' },
    });
  });

  test('moves what lies in graphs inside the graph and in constants', async () => {
    const matrix = twoLayers().initializers[0]!;
    const source = join(folder, 'source.onnx');
    await writeModel(source, holding(matrix));
    const read = await readModel(source);
    const nodes: Graph['nodes'] = [
      {
        name: 'if',
        opType: 'If',
        domain: '',
        inputs: ['c'],
        outputs: [],
        attributes: {
          then_branch: { type: 'graph', value: holding(matrix) },
          value: { type: 'tensor', value: read.graph.initializers[0]! },
        },
      },
    ];
    const path = join(folder, 'deep', 'model.onnx');
    await writeModel(path, { ...holding(matrix), nodes }, { readExternal: read.readExternal });
    const { graph, readExternal } = await readModel(path);
    const { then_branch: branch, value } = graph.nodes[0]!.attributes;
    if (branch?.type !== 'graph' || value?.type !== 'tensor') throw new Error('attributes changed their type');
    const all = [graph.initializers[0]!, branch.value.initializers[0]!, value.value];
    expect(all.map(({ data }) => data.kind === 'external' && data.offset)).toEqual([0, 4096, 8192]);
    for (const tensor of all) expect({ kind: 'bytes', bytes: await readExternal(tensor) }).toEqual(matrix.data);
  });

  test('a write that fails leaves the old model, and nothing else', async () => {
    const path = join(folder, 'model.onnx');
    await writeModel(path, twoLayers());
    const before = await run(path);
    const { graph } = await readModel(path);
    const readExternal = async ({ name }: Tensor): Promise<Uint8Array> => {
      if (name === 'constant_1') throw new Error('disk gone');
      return new Uint8Array(2400);
    };
    await expect(writeModel(path, graph, { readExternal })).rejects.toThrow('disk gone');
    await expect(writeModel(path, graph, { readExternal: async () => new Uint8Array(3) })).rejects.toMatchObject({
      code: 'tensor-size',
    });
    expect((await readdir(folder)).sort()).toEqual(['model.onnx', 'model.onnx.data']);
    expect(await run(path)).toEqual(before);
  });
});

describe('readModel', () => {
  const written = async (tensor: Tensor): Promise<string> => {
    const path = join(folder, 'a', 'model.onnx');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, encodeModel(holding(tensor)));
    return path;
  };
  const readWeights = async (path: string): Promise<Uint8Array> => {
    const { graph, readExternal } = await readModel(path);
    return readExternal(graph.initializers[0]!);
  };

  test.each(['../secret', 'x/../../secret', '/etc/hostname', 'C:\\secret', '\\\\host\\share', '..', '.', 'x\0y'])(
    'does not leave the folder for %j',
    async (location) => {
      await writeFile(join(folder, 'secret'), new Uint8Array(64));
      await expect(readWeights(await written(weights(location)))).rejects.toMatchObject({
        code: 'unsafe-path',
        where: { tensor: 'w' },
      });
    },
  );

  test('does not follow a link out of the folder', async () => {
    const path = await written(weights('link'));
    await writeFile(join(folder, 'secret'), new Uint8Array(64));
    await symlink('../secret', join(folder, 'a', 'link'));
    await expect(readWeights(path)).rejects.toMatchObject({ code: 'unsafe-path' });
  });

  test('follows links of a cache that keeps contents apart from names', async () => {
    await mkdir(join(folder, 'blobs'));
    await mkdir(join(folder, 'snapshots', 'main'), { recursive: true });
    await writeFile(join(folder, 'blobs', '1'), encodeModel(holding(weights('model.onnx.data'))));
    await writeFile(
      join(folder, 'blobs', '2'),
      Uint8Array.from({ length: 16 }, (_, i) => i),
    );
    await symlink('../../blobs/1', join(folder, 'snapshots', 'main', 'model.onnx'));
    await symlink('../../blobs/2', join(folder, 'snapshots', 'main', 'model.onnx.data'));
    expect((await readWeights(join(folder, 'snapshots', 'main', 'model.onnx')))[15]).toBe(15);
  });

  test('reads files in folders below, and names that only look like leaving', async () => {
    const path = await written(weights('deep/..weights', 4));
    await mkdir(join(folder, 'a', 'deep'));
    await writeFile(
      join(folder, 'a', 'deep', '..weights'),
      Uint8Array.from({ length: 20 }, (_, i) => i),
    );
    expect(await readWeights(path)).toEqual(Uint8Array.from({ length: 16 }, (_, i) => i + 4));
  });

  test('a data file that is absent or too short is said', async () => {
    const path = await written(weights('w.bin', 100));
    await expect(readWeights(path)).rejects.toMatchObject({ code: 'not-found' });
    await writeFile(join(folder, 'a', 'w.bin'), new Uint8Array(116));
    expect(await readWeights(path)).toHaveLength(16);
    await truncate(join(folder, 'a', 'w.bin'), 115);
    await expect(readWeights(path)).rejects.toThrow(/^tensor `w` lies at bytes 100 to 116 of `.*`, which has 115; /);
  });

  test('errors name the file', async () => {
    const path = join(folder, 'broken.onnx');
    await expect(readModel(path)).rejects.toMatchObject({ code: 'not-found', where: { path } });
    await writeFile(path, encodeModel(twoLayers()).subarray(0, 500));
    await expect(readModel(path)).rejects.toThrow(`${path}: the model is truncated`);
  });
});
