import { create, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { OnnxError } from './errors.js';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type TypeProto,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './generated/onnx_pb.js';
import {
  type AttributeValue,
  BYTES,
  type Dim,
  type DType,
  type Graph,
  type Node,
  type Tensor,
  type TensorData,
  type ValueInfo,
  type ValueType,
} from './graph.js';

/** IR 10 and opset 21: the widest reach among ONNX Runtime releases. */
const IR_VERSION = 10;
const ONNX_OPSET = 21;

/** Protobuf's own limit for one message, and ONNX Runtime's for a model in one piece. */
const LARGEST_MODEL = 2 ** 31 - 1;

/** Our one hint on a node has no field in the format; it travels as metadata. */
const RECOMPUTE = 'kelpie.recompute';

const DATA_TYPE: Readonly<Record<DType, DataType>> = {
  float32: DataType.FLOAT,
  float64: DataType.DOUBLE,
  float16: DataType.FLOAT16,
  bfloat16: DataType.BFLOAT16,
  int64: DataType.INT64,
  int32: DataType.INT32,
  uint8: DataType.UINT8,
  int8: DataType.INT8,
  bool: DataType.BOOL,
  string: DataType.STRING,
};
const DTYPE = new Map(Object.entries(DATA_TYPE).map(([dtype, number]) => [number as number, dtype as DType]));

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

// --- encode --------------------------------------------------------------------------------------------------------

export interface EncodeOptions {
  /** Version of the format itself. Default 10. */
  readonly irVersion?: number;
  /** Write the types of inner values, where known. Default true. */
  readonly values?: boolean;
  readonly producerVersion?: string;
  /** Declares one more output, before all others: an empty sequence of this name. Default none. */
  readonly sequence?: string;
}

/**
 * The bytes of a model. Initializers held in memory are written inline, so the whole stays below 2 GiB: large weights
 * belong in a file of their own (`writeModel`). Symbolic sizes become `dim_param`; float attributes are rounded to float32,
 * which is all the format has for them.
 */
export function encodeModel(
  graph: Graph,
  { irVersion = IR_VERSION, values = true, producerVersion, sequence }: EncodeOptions = {},
): Uint8Array<ArrayBuffer> {
  const inline = graph.initializers.reduce((n, { data }) => n + (data.kind === 'bytes' ? data.bytes.byteLength : 0), 0);
  if (inline > LARGEST_MODEL) {
    throw new OnnxError(
      'too-large',
      `graph \`${graph.name}\` holds ${inline} bytes of initializers, a model in one piece at most ${LARGEST_MODEL}; write it with \`writeModel\`, which moves them to a file beside it`,
      { graph: graph.name, bytes: inline },
    );
  }
  try {
    const model = create(ModelProtoSchema, {
      irVersion: BigInt(irVersion),
      producerName: 'kelpie',
      ...(producerVersion === undefined ? {} : { producerVersion }),
      opsetImport: Object.entries(opsetsOf(graph)).map(([domain, version]) =>
        create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }),
      ),
      graph: withSequence(encodeGraph(graph, values), sequence),
    });
    return toBinary(ModelProtoSchema, model);
  } catch (cause) {
    if (cause instanceof OnnxError) throw cause;
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxError('encode', `graph \`${graph.name}\` cannot be written: ${text}`, { graph: graph.name }, cause);
  }
}

/** The opsets of a graph and of all graphs inside it: a model declares them once. */
function opsetsOf(graph: Graph): Record<string, number> {
  const opsets = new Map<string, number>();
  const visit = (g: Graph): void => {
    for (const [domain, version] of Object.entries(g.opsets)) {
      const known = opsets.get(domain);
      if (known !== undefined && known !== version) {
        throw new OnnxError(
          'opset',
          `graph \`${g.name}\` inside \`${graph.name}\` uses version ${version} of the operators of domain \`${domain || 'ai.onnx'}\`, the graph around it version ${known}; a model has one version per domain`,
          { graph: g.name, domain },
        );
      }
      opsets.set(domain, version);
    }
    for (const node of g.nodes) {
      for (const value of Object.values(node.attributes)) if (value.type === 'graph') visit(value.value);
    }
  };
  visit(graph);
  if (opsets.size === 0 || (!opsets.has('') && usesOnnx(graph))) opsets.set('', ONNX_OPSET);
  return Object.fromEntries(opsets);
}

function usesOnnx(graph: Graph): boolean {
  return graph.nodes.some(
    ({ domain, attributes }) =>
      domain === '' || Object.values(attributes).some((value) => value.type === 'graph' && usesOnnx(value.value)),
  );
}

function encodeGraph(graph: Graph, values: boolean): GraphProto {
  const declared = new Set([...graph.inputs, ...graph.outputs, ...graph.initializers].map(({ name }) => name));
  const inner = values ? [...graph.values].filter(([name]) => !declared.has(name)) : [];
  return create(GraphProtoSchema, {
    name: graph.name,
    node: graph.nodes.map((node) => encodeNode(node, values)),
    initializer: graph.initializers.map(encodeTensorProto),
    input: graph.inputs.map(encodeValueInfo),
    output: graph.outputs.map(encodeValueInfo),
    valueInfo: inner.map(([name, type]) => encodeValueInfo({ name, ...type })),
  });
}

/** The graph with one more output before all others, see `EncodeOptions.sequence`. */
function withSequence(graph: GraphProto, name: string | undefined): GraphProto {
  if (name === undefined) return graph;
  const elemType = encodeType({ dtype: 'float32', shape: [] });
  const type = create(TypeProtoSchema, { value: { case: 'sequenceType', value: { elemType } } });
  graph.node.unshift(create(NodeProtoSchema, { opType: 'SequenceEmpty', output: [name] }));
  graph.output.unshift(create(ValueInfoProtoSchema, { name, type }));
  return graph;
}

function encodeNode(node: Node, values: boolean): NodeProto {
  return create(NodeProtoSchema, {
    ...(node.name === '' ? {} : { name: node.name }),
    ...(node.domain === '' ? {} : { domain: node.domain }),
    opType: node.opType,
    input: [...node.inputs],
    output: [...node.outputs],
    attribute: Object.entries(node.attributes).map(([name, value]) => encodeAttribute(name, value, values)),
    metadataProps: node.recompute === true ? [entry(RECOMPUTE, '1')] : [],
  });
}

function entry(key: string, value: string) {
  return create(StringStringEntryProtoSchema, { key, value });
}

function encodeAttribute(name: string, attribute: AttributeValue, values: boolean): AttributeProto {
  switch (attribute.type) {
    case 'int':
      return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: attribute.value });
    case 'float':
      return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: attribute.value });
    case 'string':
      return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: utf8.encode(attribute.value) });
    case 'ints':
      return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: [...attribute.value] });
    case 'floats':
      return create(AttributeProtoSchema, { name, type: AttributeType.FLOATS, floats: [...attribute.value] });
    case 'strings':
      return create(AttributeProtoSchema, {
        name,
        type: AttributeType.STRINGS,
        strings: attribute.value.map((s) => utf8.encode(s)),
      });
    case 'tensor':
      return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: encodeTensorProto(attribute.value) });
    case 'graph':
      return create(AttributeProtoSchema, {
        name,
        type: AttributeType.GRAPH,
        g: encodeGraph(attribute.value, values),
      });
  }
}

function encodeTensorProto(tensor: Tensor): TensorProto {
  const { name, dtype, dims, data } = tensor;
  if (dtype === 'string') {
    throw new OnnxError('dtype', `tensor \`${name}\`: strings have no raw bytes and cannot be written`, {
      tensor: name,
    });
  }
  checkLength(name, dtype, dims, data.kind === 'bytes' ? data.bytes.byteLength : data.length);
  const head = { ...(name === '' ? {} : { name }), dataType: DATA_TYPE[dtype], dims: dims.map(BigInt) };
  if (data.kind === 'bytes')
    return create(TensorProtoSchema, { ...head, rawData: data.bytes as Uint8Array<ArrayBuffer> });
  return create(TensorProtoSchema, {
    ...head,
    dataLocation: DataLocation.EXTERNAL,
    externalData: [
      entry('location', data.location),
      entry('offset', String(data.offset)),
      entry('length', String(data.length)),
    ],
  });
}

function encodeValueInfo({ name, dtype, shape }: ValueInfo): ValueInfoProto {
  return create(ValueInfoProtoSchema, { name, type: encodeType({ dtype, shape }) });
}

function encodeType({ dtype, shape }: ValueType): TypeProto {
  const dim = shape.map((size) => ({
    value:
      typeof size === 'number'
        ? { case: 'dimValue' as const, value: BigInt(size) }
        : { case: 'dimParam' as const, value: size },
  }));
  return create(TypeProtoSchema, {
    value: { case: 'tensorType', value: { elemType: DATA_TYPE[dtype], shape: { dim } } },
  });
}

// --- decode --------------------------------------------------------------------------------------------------------

/**
 * The graph of a model. Raw initializers are views into `bytes`, unaligned and not copied; those in other fields are
 * converted; those in a file stay there.
 *
 * A size without value or name gets the name `VALUE.AXIS`, after the value that has it. Left behind: doc strings,
 * metadata, producer, denotations, and types of inner values that `values` cannot hold. Whatever else a `Graph` cannot
 * hold is refused: one error of code `unsupported` that names all of it.
 */
export function decodeModel(bytes: Uint8Array): Graph {
  // A Node Buffer would make every view a Buffer, whose `slice` does not copy.
  const model = parseModel(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  if (model.graph === undefined) {
    throw new OnnxError(
      'no-graph',
      `the model holds no graph: ${bytes.byteLength} bytes parsed, field \`graph\` is absent`,
      {
        bytes: bytes.byteLength,
      },
    );
  }
  const decoder = new Decoder(decodeOpsets(model));
  decoder.unknown(model, 'the model');
  decoder.refuse(model.functions.length, () => {
    const names = model.functions.map((f) => `${f.domain ?? ''}.${f.name ?? ''}`);
    return `${names.length} model-local functions (${some(names)}): inline them before reading`;
  });
  const graph = decoder.graph(model.graph, 'graph');
  decoder.finish();
  return graph;
}

function parseModel(bytes: Uint8Array): ModelProto {
  const size = bytes.byteLength;
  if (size === 0) throw new OnnxError('empty', 'not an ONNX model: 0 bytes', { bytes: 0 });
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, 40));
  if (head.startsWith('version https://git-lfs')) {
    throw new OnnxError(
      'not-onnx',
      'not an ONNX model but a Git LFS pointer: fetch the file itself with `git lfs pull`',
      {
        bytes: size,
      },
    );
  }
  try {
    checkComplete(bytes);
    return fromBinary(ModelProtoSchema, bytes);
  } catch (cause) {
    if (cause instanceof OnnxError) throw cause;
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxError(
      'not-onnx',
      `not an ONNX model: ${size} bytes that are no protobuf message (${text})`,
      { bytes: size },
      cause,
    );
  }
}

/** Every field of the outermost message says its length, so a file that was cut is told from one that is no ONNX. */
function checkComplete(bytes: Uint8Array): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (wire !== WireType.LengthDelimited) {
      reader.skip(wire, field);
      continue;
    }
    const length = reader.uint32();
    const left = reader.len - reader.pos;
    if (length > left) {
      const known = ModelProtoSchema.fields.find(({ number }) => number === field);
      if (known === undefined) throw new RangeError(`unknown field ${field} of ${length} bytes, ${left} are left`);
      throw new OnnxError(
        'truncated',
        `the model is truncated: its field \`${known.name}\` has ${length} bytes, ${left} are there; copy or download the file again`,
        { bytes: bytes.byteLength, missing: length - left },
      );
    }
    reader.pos += length;
  }
}

const onnxDomain = (domain: string | undefined): string => (domain === undefined || domain === 'ai.onnx' ? '' : domain);

function decodeOpsets(model: ModelProto): Record<string, number> {
  const opsets = new Map<string, number>();
  for (const { domain, version } of model.opsetImport) {
    const name = onnxDomain(domain);
    const before = opsets.get(name) ?? Number(version ?? 0n);
    if (before !== Number(version ?? 0n)) {
      throw new OnnxError(
        'malformed',
        `the model asks for versions ${before} and ${version} of domain \`${name || 'ai.onnx'}\``,
        { domain: name },
      );
    }
    opsets.set(name, before);
  }
  if (opsets.size > 0) return Object.fromEntries(opsets);
  // Before IR 3 a model named no opset and meant the first.
  const ir = Number(model.irVersion ?? 0n);
  if (ir < 3) return { '': 1 };
  throw new OnnxError('truncated', `the model names no opset, which IR version ${ir} asks for; it may be cut short`, {
    ir,
  });
}

const some = (names: readonly string[]): string =>
  names.length <= 5 ? names.join(', ') : `${names.slice(0, 5).join(', ')} and ${names.length - 5} more`;

/** Walks a model and collects what a `Graph` cannot hold, to name all of it at once. */
class Decoder {
  readonly #opsets: Readonly<Record<string, number>>;
  readonly #refused: string[] = [];

  constructor(opsets: Readonly<Record<string, number>>) {
    this.#opsets = opsets;
  }

  finish(): void {
    if (this.#refused.length === 0) return;
    const refused = [...new Set(this.#refused)];
    const shown = refused.slice(0, 20).map((text) => `\n  ${text}`);
    const more = refused.length > 20 ? `\n  and ${refused.length - 20} more` : '';
    throw new OnnxError('unsupported', `the model holds what a graph cannot represent:${shown.join('')}${more}`, {
      count: refused.length,
    });
  }

  refuse(when: unknown, text: () => string): void {
    if (when) this.#refused.push(text());
  }

  unknown(message: Message, where: string): void {
    for (const { no } of message.$unknown ?? []) this.#refused.push(`${where}: field ${no} of the format`);
  }

  graph(proto: GraphProto, where: string): Graph {
    const name = proto.name ?? '';
    this.unknown(proto, where);
    this.refuse(
      proto.sparseInitializer.length,
      () => `${where}: ${proto.sparseInitializer.length} sparse initializers`,
    );
    const initializers = proto.initializer.map((tensor) => this.tensor(tensor, `initializer \`${tensor.name ?? ''}\``));
    const inputs = proto.input.map((info) => this.valueInfo(info, `${where}: input`));
    const outputs = proto.output.map((info) => this.valueInfo(info, `${where}: output`));
    const values = new Map<string, ValueType>();
    for (const info of proto.valueInfo) {
      const type = decodeType(info);
      if (typeof type !== 'string') values.set(info.name ?? '', type);
    }
    for (const { name: initializer, dtype, dims } of initializers) values.set(initializer, { dtype, shape: dims });
    for (const { name: value, dtype, shape } of [...outputs, ...inputs]) values.set(value, { dtype, shape });
    const nodes = proto.node.map((node, i) => this.node(node, i));
    return { name, inputs, outputs, initializers, nodes, values, opsets: { ...this.#opsets } };
  }

  valueInfo(info: ValueInfoProto, where: string): ValueInfo {
    const name = info.name ?? '';
    const type = decodeType(info);
    if (typeof type !== 'string') return { name, ...type };
    this.#refused.push(`${where} \`${name}\`: ${type}`);
    return { name, dtype: 'float32', shape: [] };
  }

  node(proto: NodeProto, index: number): Node {
    const opType = proto.opType ?? '';
    const where = `node ${proto.name ? `\`${proto.name}\`` : index} (${opType})`;
    if (opType === '')
      throw new OnnxError('malformed', `node ${proto.name ? `\`${proto.name}\`` : index} names no operator`, {
        node: index,
      });
    this.unknown(proto, where);
    this.refuse(proto.overload, () => `${where}: overload \`${proto.overload}\` of a function`);
    const attributes = new Map<string, AttributeValue>();
    for (const attribute of proto.attribute) {
      const name = attribute.name ?? '';
      if (attributes.has(name))
        throw new OnnxError('malformed', `${where}: attribute \`${name}\` stands there twice`, {
          node: proto.name ?? index,
        });
      const value = this.attribute(attribute, `${where}: attribute \`${name}\``);
      if (value !== undefined) attributes.set(name, value);
    }
    return {
      name: proto.name ?? '',
      opType,
      domain: onnxDomain(proto.domain),
      inputs: proto.input,
      outputs: proto.output,
      attributes: Object.fromEntries(attributes),
      ...(proto.metadataProps.some(({ key }) => key === RECOMPUTE) ? { recompute: true } : {}),
    };
  }

  attribute(proto: AttributeProto, where: string): AttributeValue | undefined {
    this.unknown(proto, where);
    if (proto.refAttrName) {
      this.#refused.push(`${where}: takes its value from attribute \`${proto.refAttrName}\` of a function`);
      return undefined;
    }
    const type = proto.type || impliedType(proto);
    switch (type) {
      case AttributeType.INT:
        return { type: 'int', value: proto.i ?? 0n };
      case AttributeType.FLOAT:
        return { type: 'float', value: proto.f ?? 0 };
      case AttributeType.STRING: {
        const value = this.text(proto.s ?? new Uint8Array(), where);
        return value === undefined ? undefined : { type: 'string', value };
      }
      case AttributeType.INTS:
        return { type: 'ints', value: proto.ints };
      case AttributeType.FLOATS:
        return { type: 'floats', value: proto.floats };
      case AttributeType.STRINGS:
        return { type: 'strings', value: proto.strings.map((s) => this.text(s, where) ?? '') };
      case AttributeType.TENSOR:
        if (proto.t === undefined) throw new OnnxError('malformed', `${where}: the tensor is absent`);
        return { type: 'tensor', value: this.tensor(proto.t, where) };
      case AttributeType.GRAPH:
        if (proto.g === undefined) throw new OnnxError('malformed', `${where}: the graph is absent`);
        return { type: 'graph', value: this.graph(proto.g, `${where} graph`) };
      default:
        this.#refused.push(`${where}: attribute type ${AttributeType[type] ?? type}`);
        return undefined;
    }
  }

  text(bytes: Uint8Array, where: string): string | undefined {
    try {
      return strictUtf8.decode(bytes);
    } catch {
      this.#refused.push(`${where}: a string of ${bytes.byteLength} bytes that is no UTF-8`);
      return undefined;
    }
  }

  tensor(proto: TensorProto, where: string): Tensor {
    const name = proto.name ?? '';
    this.unknown(proto, where);
    const dims = proto.dims.map(Number);
    if (dims.some((dim) => !Number.isSafeInteger(dim) || dim < 0)) {
      throw new OnnxError('malformed', `${where}: dims [${dims.join(', ')}] are no sizes`, { tensor: name });
    }
    const dtype = DTYPE.get(proto.dataType ?? 0);
    if (dtype === undefined || dtype === 'string' || proto.segment !== undefined) {
      const what =
        proto.segment === undefined ? `tensor of dtype ${dtypeName(proto.dataType)}` : 'a segment of a tensor';
      this.#refused.push(`${where}: ${what}`);
      return { name, dtype: dtype ?? 'uint8', dims, data: { kind: 'bytes', bytes: new Uint8Array() } };
    }
    return { name, dtype, dims, data: decodeData(proto, dtype, dims, where) };
  }
}

/** Before IR 2 an attribute did not say which of its fields holds the value. */
function impliedType(proto: AttributeProto): AttributeType {
  if (proto.f !== undefined) return AttributeType.FLOAT;
  if (proto.i !== undefined) return AttributeType.INT;
  if (proto.s !== undefined) return AttributeType.STRING;
  if (proto.t !== undefined) return AttributeType.TENSOR;
  if (proto.g !== undefined) return AttributeType.GRAPH;
  if (proto.floats.length > 0) return AttributeType.FLOATS;
  if (proto.ints.length > 0) return AttributeType.INTS;
  if (proto.strings.length > 0) return AttributeType.STRINGS;
  return AttributeType.UNDEFINED;
}

const dtypeName = (number: number | undefined): string => `${DataType[number ?? 0] ?? 'unknown'} (${number ?? 0})`;

/** The type of a value, or what about it cannot be held. */
function decodeType({ name, type }: ValueInfoProto): ValueType | string {
  if (type?.value.case === undefined)
    return type?.$unknown?.length ? 'neither tensor, sequence nor optional' : 'no type';
  if (type.value.case !== 'tensorType') return type.value.case === 'sequenceType' ? 'a sequence' : 'an optional';
  const { elemType, shape } = type.value.value;
  const dtype = DTYPE.get(elemType ?? 0);
  if (dtype === undefined) return `dtype ${dtypeName(elemType)}`;
  if (shape === undefined) return 'no shape, so its rank is unknown';
  return { dtype, shape: shape.dim.map(({ value }, axis) => decodeDim(value, `${name ?? ''}.${axis}`)) };
}

type DimValue = { case: 'dimValue'; value: bigint } | { case: 'dimParam'; value: string } | { case: undefined };

function decodeDim(value: DimValue, unnamed: string): Dim {
  if (value.case === 'dimParam' && value.value !== '') return value.value;
  // Some exporters write -1 where they know no size.
  if (value.case === 'dimValue' && value.value >= 0n) return Number(value.value);
  return unnamed;
}

function decodeData(
  proto: TensorProto,
  dtype: Exclude<DType, 'string'>,
  dims: readonly number[],
  where: string,
): TensorData {
  const name = proto.name ?? '';
  if (proto.dataLocation === DataLocation.EXTERNAL) return decodeExternal(proto, dtype, dims, where);
  const bytes = proto.rawData ?? typedBytes(proto, dtype);
  checkLength(name, dtype, dims, bytes.byteLength);
  return { kind: 'bytes', bytes };
}

function typedBytes(proto: TensorProto, dtype: Exclude<DType, 'string'>): Uint8Array {
  const typed = TYPED_FIELD[dtype](proto);
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}

const TYPED_FIELD: Readonly<Record<Exclude<DType, 'string'>, (proto: TensorProto) => ArrayBufferView>> = {
  float32: ({ floatData }) => Float32Array.from(floatData),
  float64: ({ doubleData }) => Float64Array.from(doubleData),
  int64: ({ int64Data }) => BigInt64Array.from(int64Data),
  int32: ({ int32Data }) => Int32Array.from(int32Data),
  int8: ({ int32Data }) => Int8Array.from(int32Data),
  uint8: ({ int32Data }) => Uint8Array.from(int32Data),
  bool: ({ int32Data }) => Uint8Array.from(int32Data, (x) => (x === 0 ? 0 : 1)),
  float16: ({ int32Data }) => Uint16Array.from(int32Data),
  bfloat16: ({ int32Data }) => Uint16Array.from(int32Data),
};

function decodeExternal(
  proto: TensorProto,
  dtype: Exclude<DType, 'string'>,
  dims: readonly number[],
  where: string,
): TensorData {
  const name = proto.name ?? '';
  const entries = new Map(proto.externalData.map(({ key, value }) => [key ?? '', value ?? '']));
  const location = entries.get('location');
  if (!location) throw new OnnxError('malformed', `${where}: external data without a location`, { tensor: name });
  const number = (key: string, absent: number): number => {
    const text = entries.get(key);
    if (text === undefined) return absent;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
      throw new OnnxError('malformed', `${where}: external data with ${key} \`${text}\`, which is no size`, {
        tensor: name,
      });
    }
    return value;
  };
  const data = {
    kind: 'external',
    location,
    offset: number('offset', 0),
    length: number('length', byteLength(dtype, dims)),
  } as const;
  checkLength(name, dtype, dims, data.length);
  return data;
}

const byteLength = (dtype: Exclude<DType, 'string'>, dims: readonly number[]): number =>
  BYTES[dtype] * dims.reduce((a, b) => a * b, 1);

function checkLength(name: string, dtype: Exclude<DType, 'string'>, dims: readonly number[], bytes: number): void {
  const expected = byteLength(dtype, dims);
  if (bytes !== expected) {
    throw new OnnxError(
      'tensor-size',
      `tensor \`${name}\`: ${dtype} [${dims.join(', ')}] has ${expected} bytes, got ${bytes}`,
      {
        tensor: name,
        bytes,
      },
    );
  }
}
