import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { Builder } from './builder.js';
import { OnnxError } from './errors.js';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProto_DataType,
  type TensorShapeProto_DimensionSchema,
  TypeProtoSchema,
} from './generated/onnx_pb.js';
import { type AttributeValue, BYTES, type DType, type Graph, type Tensor, type ValueType } from './graph.js';
import { decodeModel, encodeModel } from './proto.js';
import { decodeTensor, encodeTensor } from './tensor.js';

/** y = relu(x w / 8 + b) */
function layer(): Graph {
  const g = new Builder({ name: 'layer' });
  const x = g.input('x', 'float32', ['rows', 3]);
  const w = g.constant('float32', [3, 2], [1, -2, 3, 4, 5, -6]);
  const b = g.constant('float32', [2], [0.5, 0.25]);
  g.output(
    'y',
    g.recomputed(() => g.relu(g.add(g.matmul(x, w, { alpha: 0.125 }), b))),
  );
  return g.build();
}

const empty: Graph = {
  name: 'g',
  inputs: [],
  outputs: [],
  initializers: [],
  nodes: [],
  values: new Map(),
  opsets: { '': 21 },
};

function thrown(body: () => unknown): OnnxError {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(OnnxError);
    return error as OnnxError;
  }
  throw new Error('nothing was thrown');
}

describe('a built graph', () => {
  test('comes back as it was', () => {
    const values = new Map([...layer().values].map(([name, { dtype, shape }]) => [name, { dtype, shape }]));
    expect(decodeModel(encodeModel(layer()))).toStrictEqual({ ...layer(), values });
  });

  test('has attributes of float32, as the format has them', () => {
    const attributes = { alpha: { type: 'float', value: 0.1 } } as const;
    const nodes = [{ name: 'n', opType: 'Elu', domain: '', inputs: ['x'], outputs: ['y'], attributes }];
    expect(decodeModel(encodeModel({ ...empty, nodes })).nodes[0]!.attributes.alpha!.value).toBe(Math.fround(0.1));
  });

  test('says IR 10, opset 21 and who wrote it', () => {
    const model = fromBinary(ModelProtoSchema, encodeModel(layer(), { producerVersion: '1.2.3' }));
    expect(model).toMatchObject({ irVersion: 10n, producerName: 'kelpie', producerVersion: '1.2.3' });
    expect(model.opsetImport).toMatchObject([
      { domain: '', version: 21n },
      { domain: 'com.microsoft', version: 1n },
    ]);
    expect(fromBinary(ModelProtoSchema, encodeModel({ ...empty, opsets: {} })).opsetImport).toMatchObject([
      { version: 21n },
    ]);
  });

  test('runs in ONNX Runtime, for any number of rows', async () => {
    const session = await InferenceSession.create(encodeModel(layer()));
    for (const rows of [1, 4]) {
      const x = Float32Array.from({ length: rows * 3 }, (_, i) => i);
      const { y } = await session.run({ x: new OrtTensor('float32', x, [rows, 3]) });
      const w = [1, -2, 3, 4, 5, -6];
      const expected = Array.from({ length: rows * 2 }, (_, i) => {
        const [row, column] = [Math.floor(i / 2), i % 2];
        const product = [0, 1, 2].reduce((sum, k) => sum + x[row * 3 + k]! * w[k * 2 + column]!, 0);
        return Math.max(0, 0.125 * product + [0.5, 0.25][column]!);
      });
      for (const [i, value] of Array.from(y!.data as Float32Array).entries())
        expect(value).toBeCloseTo(expected[i]!, 5);
    }
    await session.release();
  });

  test('can leave out the types of inner values', () => {
    const proto = fromBinary(ModelProtoSchema, encodeModel(layer(), { values: false }));
    expect(proto.graph?.valueInfo).toEqual([]);
    expect([...decodeModel(encodeModel(layer(), { values: false })).values.keys()].sort()).toEqual([
      'constant_0',
      'constant_1',
      'x',
      'y',
    ]);
  });
});

describe('tensors', () => {
  test('raw bytes are views, not copies, and never a Buffer', () => {
    const bytes = Buffer.from(encodeModel(layer()));
    for (const { data } of decodeModel(bytes).initializers) {
      if (data.kind !== 'bytes') throw new Error('expected bytes');
      expect(data.bytes.buffer).toBe(bytes.buffer);
      expect(Buffer.isBuffer(data.bytes)).toBe(false);
    }
  });

  const typed: [DType, keyof typeof TensorProto_DataType, object, number[]][] = [
    ['float32', 'FLOAT', { floatData: [1.5, -2] }, [1.5, -2]],
    ['float64', 'DOUBLE', { doubleData: [1e300, -2] }, [1e300, -2]],
    ['int64', 'INT64', { int64Data: [7n, -8n] }, [7, -8]],
    ['int32', 'INT32', { int32Data: [7, -8] }, [7, -8]],
    ['int8', 'INT8', { int32Data: [7, -8] }, [7, -8]],
    ['uint8', 'UINT8', { int32Data: [7, 255] }, [7, 255]],
    ['bool', 'BOOL', { int32Data: [0, 1] }, [0, 1]],
  ];
  test.each(typed)('%s in its own field', (dtype, dataType, field, expected) => {
    const tensor = { name: 't', dataType: TensorProto_DataType[dataType], dims: [2n], ...field };
    const model = create(ModelProtoSchema, { graph: { initializer: [tensor] } });
    const read = decodeModel(toBinary(ModelProtoSchema, model)).initializers[0]!;
    expect(read.dtype).toBe(dtype);
    expect(decodeTensor(read)).toEqual(expected);
  });

  test.each([
    ['float16', TensorProto_DataType.FLOAT16],
    ['bfloat16', TensorProto_DataType.BFLOAT16],
  ] as const)('%s as bits in int32_data', (dtype, dataType) => {
    const model = create(ModelProtoSchema, {
      graph: { initializer: [{ dataType, dims: [2n], int32Data: [0x3c00, 0xffff] }] },
    });
    const read = decodeModel(toBinary(ModelProtoSchema, model)).initializers[0]!;
    expect(read).toMatchObject({ dtype, data: { bytes: Uint8Array.of(0x00, 0x3c, 0xff, 0xff) } });
  });

  test('external data keeps its place; without a length it is that of its dims', () => {
    const external: Tensor = {
      name: 'w',
      dtype: 'float32',
      dims: [4, 2],
      data: { kind: 'external', location: 'weights.bin', offset: 2 ** 40, length: 32 },
    };
    expect(decodeModel(encodeModel({ ...empty, initializers: [external] })).initializers).toEqual([external]);
    const model = create(ModelProtoSchema, {
      graph: {
        initializer: [
          { dataType: 1, dims: [4n, 2n], dataLocation: 1, externalData: [{ key: 'location', value: 'w' }] },
        ],
      },
    });
    expect(decodeModel(toBinary(ModelProtoSchema, model)).initializers[0]!.data).toEqual({
      kind: 'external',
      location: 'w',
      offset: 0,
      length: 32,
    });
  });

  test('bytes that do not fill the dims are refused both ways', () => {
    const short: Tensor = { name: 'w', dtype: 'int64', dims: [3], data: { kind: 'bytes', bytes: new Uint8Array(8) } };
    expect(thrown(() => encodeModel({ ...empty, initializers: [short] })).message).toBe(
      'tensor `w`: int64 [3] has 24 bytes, got 8',
    );
    const model = create(ModelProtoSchema, {
      graph: { initializer: [{ name: 'w', dataType: 7, dims: [3n], int64Data: [1n] }] },
    });
    expect(thrown(() => decodeModel(toBinary(ModelProtoSchema, model))).message).toBe(
      'tensor `w`: int64 [3] has 24 bytes, got 8',
    );
  });
});

describe('property: any graph comes back as it was', () => {
  const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 });
  const record = <T>(of: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(of, { noNullPrototype: true });
  const dtype = fc.constantFrom<Exclude<DType, 'string'>>(...(Object.keys(BYTES) as Exclude<DType, 'string'>[]));
  const shape = fc.array(fc.oneof(fc.nat(2 ** 31), word), { maxLength: 4 });
  const type: fc.Arbitrary<ValueType> = record({ dtype, shape });
  const tensor = (name: string): fc.Arbitrary<Tensor> =>
    fc.tuple(dtype, fc.array(fc.nat(3), { maxLength: 3 })).chain(([dtype, dims]) => {
      const length = BYTES[dtype] * dims.reduce((a, b) => a * b, 1);
      const bytes = fc
        .uint8Array({ minLength: length, maxLength: length })
        .map((bytes) => ({ kind: 'bytes', bytes }) as const);
      const external = record({ location: word, offset: fc.maxSafeNat() }).map(
        (e) => ({ kind: 'external', ...e, length }) as const,
      );
      return fc.oneof(bytes, external).map((data): Tensor => ({ name, dtype, dims, data }));
    });
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  const float = fc.float();
  const opsets = { '': 21, 'com.microsoft': 1 };
  const graph = (depth: number): fc.Arbitrary<Graph> => {
    const attribute: fc.Arbitrary<AttributeValue>[] = [
      record({ type: fc.constant('int' as const), value: int64 }),
      record({ type: fc.constant('float' as const), value: float }),
      record({ type: fc.constant('string' as const), value: fc.string({ unit: 'grapheme' }) }),
      record({ type: fc.constant('ints' as const), value: fc.array(int64, { maxLength: 4 }) }),
      record({ type: fc.constant('floats' as const), value: fc.array(float, { maxLength: 4 }) }),
      record({ type: fc.constant('strings' as const), value: fc.array(fc.string(), { maxLength: 3 }) }),
      record({ type: fc.constant('tensor' as const), value: tensor('') }),
    ];
    if (depth > 0) attribute.push(record({ type: fc.constant('graph' as const), value: graph(depth - 1) }));
    const node = record({
      name: fc.string(),
      opType: word,
      domain: fc.constantFrom('', 'com.microsoft'),
      inputs: fc.array(fc.string({ maxLength: 4 }), { maxLength: 3 }),
      outputs: fc.array(fc.string({ maxLength: 4 }), { maxLength: 3 }),
      attributes: fc.dictionary(fc.string({ maxLength: 5 }), fc.oneof(...attribute), {
        maxKeys: 4,
        noNullPrototype: true,
      }),
    });
    const marked = fc.tuple(node, fc.boolean()).map(([n, recompute]) => (recompute ? { ...n, recompute: true } : n));
    const names = fc.uniqueArray(word, { maxLength: 8 });
    return names.chain((all) => {
      const [a, b, c] = [1, 2, 3].map((k) => Math.floor((all.length * k) / 4)) as [number, number, number];
      const infos = (part: string[]) => fc.tuple(...part.map((name) => type.map((t) => ({ name, ...t }))));
      return record({
        name: fc.string(),
        inputs: infos(all.slice(0, a)),
        outputs: infos(all.slice(a, b)),
        initializers: fc.tuple(...all.slice(b, c).map(tensor)),
        inner: infos(all.slice(c)),
        nodes: fc.array(marked, { maxLength: 3 }),
      }).map(({ inner, ...g }): Graph => {
        const weights = g.initializers.map(({ name, dtype, dims }) => ({ name, dtype, shape: dims }));
        const typed = [...g.inputs, ...g.outputs, ...weights, ...inner];
        return { ...g, values: new Map(typed.map(({ name, dtype, shape }) => [name, { dtype, shape }])), opsets };
      });
    });
  };

  test('decode(encode(g)) = g, and the bytes do not change', () => {
    fc.assert(
      fc.property(graph(2), (g) => {
        const bytes = encodeModel(g);
        expect(decodeModel(bytes)).toStrictEqual(g);
        expect(encodeModel(decodeModel(bytes))).toEqual(bytes);
      }),
      { numRuns: 300 },
    );
  });

  test('bytes that are no model, or a model with bytes changed, give an OnnxError or a graph', () => {
    const model = encodeModel(layer());
    const change = fc.array(fc.tuple(fc.nat(model.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    const changed = change.map((edits) => {
      const bytes = model.slice();
      for (const [at, value] of edits) bytes[at] = value;
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), changed), (bytes) => {
        try {
          decodeModel(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(OnnxError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('refused, with the reason', () => {
  test.each([
    ['0 bytes', new Uint8Array(), 'empty', 'not an ONNX model: 0 bytes'],
    [
      'a text',
      Buffer.from('<!doctype html><html></html>'),
      'not-onnx',
      'not an ONNX model: 28 bytes that are no protobuf message',
    ],
    ['a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\n'), 'not-onnx', 'git lfs pull'],
    [
      'a model without graph',
      toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 10n })),
      'no-graph',
      'the model holds no graph',
    ],
  ])('%s', (_, bytes, code, message) => {
    const error = thrown(() => decodeModel(bytes));
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
  });

  test('every cut of a model', () => {
    const bytes = encodeModel({ ...layer(), opsets: { '': 21 } });
    expect(thrown(() => decodeModel(bytes.subarray(0, bytes.length / 2))).message).toMatch(
      /^the model is truncated: its field `graph` has \d+ bytes, \d+ are there; copy or download the file again$/,
    );
    for (let length = 0; length < bytes.length; length++) {
      expect(['empty', 'truncated', 'not-onnx', 'no-graph']).toContain(
        thrown(() => decodeModel(bytes.subarray(0, length))).code,
      );
    }
  });

  test('what a graph cannot hold, all of it at once', () => {
    const graph = create(GraphProtoSchema, {
      input: [
        { name: 's', type: { value: { case: 'sequenceType', value: {} } } },
        {
          name: 'u',
          type: { value: { case: 'tensorType', value: { elemType: TensorProto_DataType.UINT16, shape: {} } } },
        },
      ],
      output: [{ name: 'y' }],
      initializer: [
        { name: 'words', dataType: TensorProto_DataType.STRING, dims: [1n], stringData: [Buffer.from('a')] },
      ],
      sparseInitializer: [{}],
      node: [
        {
          name: 'n',
          opType: 'Op',
          overload: 'v2',
          attribute: [
            create(AttributeProtoSchema, { name: 'a', type: AttributeProto_AttributeType.TENSORS }),
            create(AttributeProtoSchema, { name: 'b', refAttrName: 'c' }),
            create(AttributeProtoSchema, {
              name: 's',
              type: AttributeProto_AttributeType.STRING,
              s: Uint8Array.of(0xff),
            }),
          ],
        },
      ],
    });
    const functions = [create(FunctionProtoSchema, { domain: 'my', name: 'gelu' })];
    const bytes = toBinary(ModelProtoSchema, create(ModelProtoSchema, { graph, functions }));
    // Field 26, `configuration`, is not part of the schema.
    const error = thrown(() => decodeModel(Uint8Array.of(...bytes, 0xd2, 0x01, 0x00)));
    expect(error.code).toBe('unsupported');
    expect(error.message).toMatchInlineSnapshot(`
      "the model holds what a graph cannot represent:
        the model: field 26 of the format
        1 model-local functions (my.gelu): inline them before reading
        graph: 1 sparse initializers
        initializer \`words\`: tensor of dtype STRING (8)
        graph: input \`s\`: a sequence
        graph: input \`u\`: dtype UINT16 (4)
        graph: output \`y\`: no type
        node \`n\` (Op): overload \`v2\` of a function
        node \`n\` (Op): attribute \`a\`: attribute type TENSORS
        node \`n\` (Op): attribute \`b\`: takes its value from attribute \`c\` of a function
        node \`n\` (Op): attribute \`s\`: a string of 1 bytes that is no UTF-8"
    `);
  });

  test('numbers that the format has no room for', () => {
    const node = (attribute: AttributeValue): Graph => ({
      ...empty,
      nodes: [{ name: 'n', opType: 'Op', domain: '', inputs: [], outputs: [], attributes: { a: attribute } }],
    });
    for (const attribute of [
      { type: 'float', value: 1e300 },
      { type: 'int', value: 2n ** 63n },
    ] as const) {
      expect(thrown(() => encodeModel(node(attribute)))).toMatchObject({ code: 'encode' });
    }
  });

  test('two versions of one domain', () => {
    const inner: Graph = { ...empty, name: 'body', opsets: { '': 18 } };
    const nodes = [
      {
        name: 'n',
        opType: 'Loop',
        domain: '',
        inputs: [],
        outputs: [],
        attributes: { body: { type: 'graph', value: inner } },
      },
    ] as const;
    expect(thrown(() => encodeModel({ ...empty, nodes })).message).toBe(
      'graph `body` inside `g` uses version 18 of the operators of domain `ai.onnx`, the graph around it version 21; a model has one version per domain',
    );
  });
});

describe('as others write it', () => {
  test('sizes without a name are named after their value, so no two are taken for equal', () => {
    const dim: MessageInitShape<typeof TensorShapeProto_DimensionSchema>[] = [
      {},
      { value: { case: 'dimParam', value: '' } },
      { value: { case: 'dimValue', value: -1n } },
    ];
    const type = create(TypeProtoSchema, { value: { case: 'tensorType', value: { elemType: 1, shape: { dim } } } });
    const model = create(ModelProtoSchema, { graph: { input: [{ name: 'x', type }] } });
    expect(decodeModel(toBinary(ModelProtoSchema, model)).inputs[0]!.shape).toEqual(['x.0', 'x.1', 'x.2']);
  });

  test('`ai.onnx` is the ONNX domain; no opset at all is the first', () => {
    const node = { opType: 'Relu', domain: 'ai.onnx' };
    const model = create(ModelProtoSchema, {
      graph: { node: [node] },
      opsetImport: [{ domain: 'ai.onnx', version: 17n }],
    });
    const graph = decodeModel(toBinary(ModelProtoSchema, model));
    expect(graph.opsets).toEqual({ '': 17 });
    expect(graph.nodes[0]!.domain).toBe('');
    model.opsetImport.push(create(OperatorSetIdProtoSchema, { version: 18n }));
    expect(thrown(() => decodeModel(toBinary(ModelProtoSchema, model))).message).toBe(
      'the model asks for versions 17 and 18 of domain `ai.onnx`',
    );
    expect(decodeModel(toBinary(ModelProtoSchema, create(ModelProtoSchema, { graph: {} }))).opsets).toEqual({ '': 1 });
    const modern = create(ModelProtoSchema, { irVersion: 10n, graph: {} });
    expect(thrown(() => decodeModel(toBinary(ModelProtoSchema, modern))).message).toBe(
      'the model names no opset, which IR version 10 asks for; it may be cut short',
    );
  });

  test('an attribute that does not say its type has that of its value', () => {
    const attribute = [
      { name: 'a', i: 3n },
      { name: 'b', ints: [1n, 2n] },
      { name: 'c', s: Buffer.from('x') },
    ];
    const model = create(ModelProtoSchema, { graph: { node: [{ opType: 'Op', attribute }] } });
    expect(decodeModel(toBinary(ModelProtoSchema, model)).nodes[0]!.attributes).toEqual({
      a: { type: 'int', value: 3n },
      b: { type: 'ints', value: [1n, 2n] },
      c: { type: 'string', value: 'x' },
    });
  });

  test('fields outside the schema survive in the messages', () => {
    // Field 10 of a node, `device_configurations`: 2 bytes.
    const node = Uint8Array.of(0x52, 0x02, 0x08, 0x07);
    const bytes = Uint8Array.of(0x3a, node.length + 2, 0x0a, node.length, ...node);
    expect(toBinary(ModelProtoSchema, fromBinary(ModelProtoSchema, bytes))).toEqual(bytes);
    expect(thrown(() => decodeModel(bytes)).message).toContain('node 0');
  });
});

// --- graphs of other exporters -------------------------------------------------------------------------------------

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SHARED = resolve(ROOT, process.env.KELPIE_SHARED ?? '../shared');

const PRESENT = ['onnx', 'exports'].filter((folder) => existsSync(join(SHARED, folder)));
const ABSENT = ['onnx', 'exports'].filter((folder) => !PRESENT.includes(folder));

const MODELS = PRESENT.flatMap((folder) =>
  readdirSync(join(SHARED, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.onnx'))
    .map((file) => join(folder, file))
    .sort(),
);

/** Models that hold what a graph cannot; each with a part of the reason. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  'onnx/ort-gpt2/attention_past_unidir.onnx': 'no shape',
  'onnx/ort-gpt2/gpt2_one_layer.onnx': 'no type',
  'onnx/ort-gpt2/gpt2_past_one_layer.onnx': 'no type',
  'onnx/ort-training/adamw.onnx': 'a sequence',
  'onnx/torch-llama/llama_forward_functions.onnx': 'model-local functions',
  'onnx/torch-phi/model_microsoft_Phi-3_5-mini-instruct-custom-default-d1rt1.onnx': 'no type',
};

async function loads(bytes: Uint8Array, folder: string): Promise<boolean> {
  try {
    const session = await InferenceSession.create(bytes, {
      logSeverityLevel: 4,
      graphOptimizationLevel: 'basic',
      intraOpNumThreads: 1,
      extra: { session: { model_external_initializers_file_folder_path: folder } },
    });
    await session.release();
    return true;
  } catch {
    return false;
  }
}

describe('models of other exporters', () => {
  for (const folder of ABSENT) test.skip(`folder \`${folder}\` is not here`, () => {});

  test.each(MODELS)('%s', async (model) => {
    const path = join(SHARED, model);
    const bytes = readFileSync(path);
    const reason = UNSUPPORTED[model];
    if (reason !== undefined) {
      const error = thrown(() => decodeModel(bytes));
      expect(error.code).toBe('unsupported');
      expect(error.message).toContain(reason);
      return;
    }
    const graph = decodeModel(bytes);
    const written = encodeModel(graph);
    expect(isDeepStrictEqual(decodeModel(written), graph)).toBe(true);
    expect(await loads(written, dirname(path))).toBe(await loads(bytes, dirname(path)));
  });
});

test('constants built from numbers are read back as numbers', () => {
  const tensor = encodeTensor('c', 'float32', [2], [1, -0]);
  expect(decodeTensor(decodeModel(encodeModel({ ...empty, initializers: [tensor] })).initializers[0]!)).toEqual([
    1, -0,
  ]);
});
