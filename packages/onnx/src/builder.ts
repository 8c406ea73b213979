import { broadcast, product, quotient, sameShape } from './dims.js';
import { OnnxError } from './errors.js';
import type { AttributeValue, Dim, DType, Graph, Node, Tensor, ValueInfo, ValueType } from './graph.js';
import { type Op, plain } from './op.js';
import { ops } from './registry.js';
import { decodeTensor, encodeTensor } from './tensor.js';

/** A value of the graph under construction: its name, dtype and (symbolic) shape. */
export type Value = ValueInfo;

export type AttributeInput = number | string | readonly number[] | AttributeValue | undefined;

export interface BuilderOptions {
  /** Float arithmetic of the graph; decides what `matmul` and `scalar` emit. Default float32. */
  readonly dtype?: 'float32' | 'float64';
  readonly name?: string;
}

/** Highest opset that the emitted nodes ask for; widest reach among ONNX Runtime releases. */
const ONNX_OPSET = 21;

/**
 * Builds a graph node by node, inferring the type of every value on the way. Batch and sequence sizes stay symbolic, so
 * one session serves all lengths. Attribute numbers: integers become ints unless listed in `FLOAT_ATTRIBUTES`.
 */
export class Builder {
  readonly dtype: 'float32' | 'float64';
  readonly name: string;
  readonly #inputs: ValueInfo[] = [];
  readonly #outputs: ValueInfo[] = [];
  readonly #initializers = new Map<string, Tensor>();
  readonly #nodes: Node[] = [];
  readonly #values = new Map<string, ValueType>();
  readonly #constants = new Map<string, Value>();
  readonly #scopes: string[] = [];
  #opsets: Record<string, number> = { '': ONNX_OPSET };
  #count = 0;
  #recompute = false;

  constructor({ dtype = 'float32', name = 'graph' }: BuilderOptions = {}) {
    this.dtype = dtype;
    this.name = name;
  }

  /** Continues an existing graph; its outputs are kept. */
  static from(graph: Graph, options: BuilderOptions = {}): Builder {
    const g = new Builder({ name: graph.name, ...options });
    for (const input of graph.inputs) g.input(input.name, input.dtype, input.shape);
    for (const tensor of graph.initializers) g.#addInitializer(tensor);
    for (const [name, type] of graph.values) g.#values.set(name, type);
    g.#nodes.push(...graph.nodes);
    g.#outputs.push(...graph.outputs);
    g.#opsets = { ...graph.opsets };
    g.#count = graph.nodes.length;
    return g;
  }

  build(): Graph {
    return {
      name: this.name,
      inputs: [...this.#inputs],
      outputs: [...this.#outputs],
      initializers: [...this.#initializers.values()],
      nodes: [...this.#nodes],
      values: new Map(this.#values),
      opsets: { ...this.#opsets },
    };
  }

  // --- graph -------------------------------------------------------------------------------------------------------

  input(name: string, dtype: DType, shape: readonly Dim[]): Value {
    if (this.#values.has(name)) throw new OnnxError('duplicate-value', `value \`${name}\` is defined twice`, { name });
    const value = { name, dtype, shape: [...shape] };
    this.#inputs.push(value);
    this.#values.set(name, value);
    return value;
  }

  /** Declares an output under a name of its own. */
  output(name: string, value: Value): Value {
    const named = value.name === name ? value : this.emit('Identity', [value], {}, { names: [name] })[0]!;
    this.#outputs.push(named);
    return named;
  }

  value(name: string): Value {
    const type = this.#values.get(name);
    if (type === undefined)
      throw new OnnxError('unknown-value', `no value \`${name}\` in graph \`${this.name}\``, { name });
    return { name, dtype: type.dtype, shape: type.shape };
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** Names of nodes made inside carry the prefix: an error then says where in the model it happened. */
  scope<T>(name: string, body: () => T): T {
    this.#scopes.push(name);
    try {
      return body();
    } finally {
      this.#scopes.pop();
    }
  }

  /** Nodes made inside are computed again in the backward graph rather than kept (see `cut`). */
  recomputed<T>(body: () => T): T {
    const before = this.#recompute;
    this.#recompute = true;
    try {
      return body();
    } finally {
      this.#recompute = before;
    }
  }

  /** Changes the node that makes `output` and moves it behind all others, when nothing has used it yet. */
  moveToEnd(output: string, change: (node: Node) => Node): void {
    const at = this.#nodes.findIndex((node) => node.outputs.includes(output));
    const node = this.#nodes[at];
    if (node === undefined) throw new OnnxError('unknown-value', `no node makes \`${output}\``, { output });
    this.#nodes.splice(at, 1);
    this.#nodes.push(change(node));
  }

  producer(name: string): Node | undefined {
    return this.#nodes.find((node) => node.outputs.includes(name));
  }

  emit(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, AttributeInput>> = {},
    { domain = '', outputs = 1, names }: { domain?: string; outputs?: number; names?: readonly string[] } = {},
  ): Value[] {
    const op = this.#op(opType, domain);
    const name = [...this.#scopes, `${opType}_${this.#count++}`].join('/');
    const node: Node = {
      name,
      opType,
      domain,
      inputs: inputs.map((input) => input?.name ?? ''),
      outputs: names ?? Array.from({ length: outputs }, (_, i) => (i === 0 ? name : `${name}:${i}`)),
      attributes: attributesOf(attributes),
      ...(this.#recompute ? { recompute: true } : {}),
    };
    if (domain !== '' && this.#opsets[domain] === undefined) this.#opsets[domain] = 1;
    const types = op.infer(inputs, {
      node,
      attributes: plain(node.attributes),
      opset: this.#opsets[domain] ?? 1,
      constant: (i) => this.constantOf(node.inputs[i] ?? ''),
    });
    this.#nodes.push(node);
    return node.outputs.map((output, i) => {
      const type = types[i];
      if (type === undefined)
        throw new OnnxError('infer', `${node.name}: the shape rule gives no type for output ${i}`, { node: node.name });
      if (this.#values.has(output))
        throw new OnnxError('duplicate-value', `value \`${output}\` is defined twice`, { name: output });
      const value = { name: output, dtype: type.dtype, shape: type.shape };
      this.#values.set(output, value);
      return value;
    });
  }

  /** Numbers of a constant value, or undefined when it is computed. */
  constantOf(name: string): readonly number[] | undefined {
    const tensor = this.#initializers.get(name);
    return tensor === undefined || tensor.data.kind === 'external' ? undefined : decodeTensor(tensor);
  }

  #op(opType: string, domain: string): Op {
    const op = ops.get(opType, domain);
    if (op === undefined) {
      throw new OnnxError(
        'unknown-operator',
        `no shape rule for operator \`${domain === '' ? '' : `${domain}.`}${opType}\`; add ops/${opType}.ts`,
        { opType, domain },
      );
    }
    return op;
  }

  #addInitializer(tensor: Tensor): void {
    this.#initializers.set(tensor.name, tensor);
    if (!this.#values.has(tensor.name)) this.#values.set(tensor.name, { dtype: tensor.dtype, shape: tensor.dims });
  }

  // --- constants ---------------------------------------------------------------------------------------------------

  /** A constant tensor; equal constants are one. */
  constant(dtype: DType, dims: readonly number[], data: ArrayLike<number>): Value {
    const key = `${dtype}[${dims.join(',')}]:${Array.from(data).join(',')}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = `constant_${this.#constants.size}`;
    this.#addInitializer(encodeTensor(this.#free(name), dtype, dims, data));
    const value = this.value([...this.#initializers.keys()].at(-1)!);
    this.#constants.set(key, value);
    return value;
  }

  #free(name: string): string {
    let free = name;
    for (let i = 0; this.#values.has(free); i++) free = `${name}_${i}`;
    return free;
  }

  /** A rank-0 constant of the graph's float type, or of `dtype`. */
  scalar(x: number, dtype: DType = this.dtype): Value {
    return this.constant(dtype, [], [x]);
  }

  /** A 1-D int64 constant: axes, shapes, indices. */
  ints(values: readonly number[]): Value {
    return this.constant('int64', [values.length], values);
  }

  // --- element-wise ------------------------------------------------------------------------------------------------

  add = (a: Value, b: Value): Value => this.emit('Add', [a, b])[0]!;
  sub = (a: Value, b: Value): Value => this.emit('Sub', [a, b])[0]!;
  mul = (a: Value, b: Value): Value => this.emit('Mul', [a, b])[0]!;
  div = (a: Value, b: Value): Value => this.emit('Div', [a, b])[0]!;
  neg = (x: Value): Value => this.emit('Neg', [x])[0]!;
  exp = (x: Value): Value => this.emit('Exp', [x])[0]!;
  log = (x: Value): Value => this.emit('Log', [x])[0]!;
  sqrt = (x: Value): Value => this.emit('Sqrt', [x])[0]!;
  reciprocal = (x: Value): Value => this.emit('Reciprocal', [x])[0]!;
  tanh = (x: Value): Value => this.emit('Tanh', [x])[0]!;
  sigmoid = (x: Value): Value => this.emit('Sigmoid', [x])[0]!;
  erf = (x: Value): Value => this.emit('Erf', [x])[0]!;
  relu = (x: Value): Value => this.emit('Relu', [x])[0]!;
  /** x times a number. */
  scale = (x: Value, factor: number): Value => (factor === 1 ? x : this.mul(x, this.scalar(factor, x.dtype)));
  where = (condition: Value, a: Value, b: Value): Value => this.emit('Where', [condition, a, b])[0]!;
  equal = (a: Value, b: Value): Value => this.emit('Equal', [a, b])[0]!;
  less = (a: Value, b: Value): Value => this.emit('Less', [a, b])[0]!;
  lessOrEqual = (a: Value, b: Value): Value => this.emit('LessOrEqual', [a, b])[0]!;
  greater = (a: Value, b: Value): Value => this.emit('Greater', [a, b])[0]!;
  and = (a: Value, b: Value): Value => this.emit('And', [a, b])[0]!;
  cast = (x: Value, dtype: DType): Value =>
    x.dtype === dtype ? x : this.emit('Cast', [x], { to: DTYPE_NUMBER[dtype] })[0]!;

  // --- shape -------------------------------------------------------------------------------------------------------

  /**
   * Reshape to sizes that may be symbolic. The target is a constant where ONNX can say it (0 copies a size from the same
   * place, -1 stands for one unknown); else it is taken from `like`, a value of that shape.
   */
  reshape(x: Value, shape: readonly Dim[], like?: Value): Value {
    if (sameShape(x.shape, shape)) return x;
    const total = product(x.shape);
    if (product(shape) !== total) {
      throw new OnnxError(
        'shape',
        `cannot reshape \`${x.name}\` [${x.shape.join(', ')}] to [${shape.join(', ')}]: sizes differ`,
        { value: x.name },
      );
    }
    const target = shape.map((dim, i) => (typeof dim === 'number' ? dim : x.shape[i] === dim ? 0 : -1));
    if (target.filter((dim) => dim === -1).length <= 1) {
      const made = this.emit('Reshape', [x, this.ints(target)])[0]!;
      return this.#retype(made, shape);
    }
    if (like === undefined || !sameShape(like.shape, shape)) {
      throw new OnnxError(
        'shape',
        `reshape of \`${x.name}\` to [${shape.join(', ')}] has two unknown sizes: give a value of that shape`,
        { value: x.name },
      );
    }
    return this.#retype(this.emit('Reshape', [x, this.emit('Shape', [like])[0]!])[0]!, shape);
  }

  #retype(value: Value, shape: readonly Dim[]): Value {
    const typed = { ...value, shape: [...shape] };
    this.#values.set(value.name, typed);
    return typed;
  }

  /** States the shape of a value whose shape rule could not know it. */
  typed(value: Value, shape: readonly Dim[]): Value {
    return sameShape(value.shape, shape) ? value : this.#retype(value, shape);
  }

  /** [.., n] -> [product of the leading sizes, n] */
  flatten2d(x: Value): Value {
    const last = x.shape.at(-1)!;
    return x.shape.length === 2
      ? x
      : this.reshape(x, [quotient(product(x.shape), last) ?? product(x.shape.slice(0, -1)), last]);
  }

  transpose = (x: Value, perm: readonly number[]): Value => this.emit('Transpose', [x], { perm })[0]!;
  unsqueeze = (x: Value, axes: readonly number[]): Value => this.emit('Unsqueeze', [x, this.ints(axes)])[0]!;
  squeeze = (x: Value, axes: readonly number[]): Value => this.emit('Squeeze', [x, this.ints(axes)])[0]!;
  concat = (xs: readonly Value[], axis: number): Value => this.emit('Concat', xs, { axis })[0]!;
  split = (x: Value, sizes: readonly number[], axis: number): Value[] =>
    this.emit('Split', [x, this.ints(sizes)], { axis }, { outputs: sizes.length });
  slice = (x: Value, starts: readonly number[], ends: readonly number[], axes: readonly number[]): Value =>
    this.emit('Slice', [x, this.ints(starts), this.ints(ends), this.ints(axes)])[0]!;
  gather = (x: Value, indices: Value, axis = 0): Value => this.emit('Gather', [x, indices], { axis })[0]!;
  gatherElements = (x: Value, indices: Value, axis: number): Value =>
    this.emit('GatherElements', [x, indices], { axis })[0]!;
  shapeOf = (x: Value): Value => this.emit('Shape', [x])[0]!;
  /** Broadcasts to the shape of `like`. */
  expandLike = (x: Value, like: Value): Value =>
    sameShape(x.shape, like.shape) ? x : this.#retype(this.emit('Expand', [x, this.shapeOf(like)])[0]!, like.shape);
  /** Zeros in the shape and dtype of `like`. */
  zerosLike = (like: Value): Value => this.mul(like, this.scalar(0, like.dtype));

  // --- sums and products -------------------------------------------------------------------------------------------

  sum = (x: Value, axes: readonly number[], keepdims = true): Value =>
    axes.length === 0 ? x : this.emit('ReduceSum', [x, this.ints(axes)], { keepdims: keepdims ? 1 : 0 })[0]!;
  mean = (x: Value, axes: readonly number[], keepdims = true): Value =>
    this.emit('ReduceMean', [x, this.ints(axes)], { keepdims: keepdims ? 1 : 0 })[0]!;
  max = (x: Value, axes: readonly number[], keepdims = true): Value =>
    this.emit('ReduceMax', [x, this.ints(axes)], { keepdims: keepdims ? 1 : 0 })[0]!;
  softmax = (x: Value, axis = -1): Value => this.emit('Softmax', [x], { axis })[0]!;
  logSoftmax = (x: Value, axis = -1): Value => this.emit('LogSoftmax', [x], { axis })[0]!;

  /**
   * alpha op(a) op(b), batched as NumPy's matmul; op transposes the last two axes. In float32 one node (FusedMatMul when
   * anything is to be transposed or scaled); in float64, where that kernel does not exist, Transpose, MatMul and Mul.
   */
  matmul(
    a: Value,
    b: Value,
    { transA = false, transB = false, alpha = 1 }: { transA?: boolean; transB?: boolean; alpha?: number } = {},
  ): Value {
    if (!transA && !transB && alpha === 1) return this.emit('MatMul', [a, b])[0]!;
    if (this.dtype === 'float32') {
      return this.emit(
        'FusedMatMul',
        [a, b],
        { transA: transA ? 1 : 0, transB: transB ? 1 : 0, alpha },
        { domain: 'com.microsoft' },
      )[0]!;
    }
    const y = this.emit('MatMul', [transA ? this.swap(a) : a, transB ? this.swap(b) : b])[0]!;
    return this.scale(y, alpha);
  }

  /** Swaps the last two axes. */
  swap(x: Value): Value {
    const rank = x.shape.length;
    return this.transpose(x, [...Array(rank - 2).keys(), rank - 1, rank - 2]);
  }

  /** alpha op(a) op(b) + beta c, all 2-D. */
  gemm(
    a: Value,
    b: Value,
    c?: Value,
    {
      transA = false,
      transB = false,
      alpha = 1,
      beta = 1,
    }: { transA?: boolean; transB?: boolean; alpha?: number; beta?: number } = {},
  ): Value {
    return this.emit('Gemm', c === undefined ? [a, b] : [a, b, c], {
      transA: transA ? 1 : 0,
      transB: transB ? 1 : 0,
      alpha,
      beta,
    })[0]!;
  }

  /** Sums a cotangent back to the shape that was broadcast. */
  sumTo(x: Value, shape: readonly Dim[], like?: Value): Value {
    if (sameShape(x.shape, shape)) return x;
    broadcast(x.shape, shape, `sum of \`${x.name}\``);
    const lead = x.shape.length - shape.length;
    const leading = [...Array(lead).keys()];
    const kept = shape.flatMap((dim, i) => (dim === 1 && x.shape[lead + i] !== 1 ? [lead + i] : []));
    const summed = kept.length > 0 ? this.sum(x, kept, true) : x;
    const out = lead > 0 ? this.sum(summed, leading, false) : summed;
    return sameShape(out.shape, shape) ? out : this.reshape(out, shape, like);
  }
}

/** Attributes that are floats even when their value is whole. ONNX holds them in float32: rounded here, all see one number. */
const FLOAT_ATTRIBUTES = new Set([
  'alpha',
  'beta',
  'epsilon',
  'gamma',
  'softcap',
  'scale',
  'value_float',
  'lambd',
  'bias',
]);

function attributesOf(attributes: Readonly<Record<string, AttributeInput>>): Record<string, AttributeValue> {
  const out: Record<string, AttributeValue> = {};
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined) continue;
    if (typeof value === 'number') {
      out[key] = FLOAT_ATTRIBUTES.has(key)
        ? { type: 'float', value: Math.fround(value) }
        : { type: 'int', value: BigInt(value) };
    } else if (typeof value === 'string') out[key] = { type: 'string', value };
    else if (isNumbers(value)) out[key] = { type: 'ints', value: value.map(BigInt) };
    else out[key] = value;
  }
  return out;
}

function isNumbers(value: readonly number[] | AttributeValue): value is readonly number[] {
  return Array.isArray(value);
}

/** TensorProto.DataType numbers of the ONNX specification. */
export const DTYPE_NUMBER: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
};
