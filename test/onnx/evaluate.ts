import { type AttributeValue, type DType, decodeTensor, type Graph, type Node, plain, type Tensor } from '@kelpie/onnx';

/** An array in row-major order; truth values are 0 and 1, integers are exact up to 2^53. */
export interface NdArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/**
 * Runs a graph in float64, whatever float type it names: plain, slow, and written from the operators' specification.
 * Returns every value of the graph.
 */
export function evaluate(graph: Graph, feeds: Readonly<Record<string, NdArray>>): Map<string, NdArray> {
  const values = new Map<string, NdArray>(Object.entries(feeds));
  for (const tensor of graph.initializers) values.set(tensor.name, fromTensor(tensor));
  for (const input of graph.inputs)
    if (!values.has(input.name)) throw new Error(`no value for input \`${input.name}\``);
  for (const node of graph.nodes) {
    const run = operators[node.opType];
    if (run === undefined) throw new Error(`${node.name}: the evaluator has no operator \`${node.opType}\``);
    const inputs = node.inputs.map((name) => (name === '' ? undefined : values.get(name)));
    const made = run(inputs as NdArray[], plain(node.attributes) as Numbers, node);
    node.outputs.forEach((name, i) => {
      if (name !== '') values.set(name, made[i]!);
    });
  }
  return values;
}

export function ndarray(dtype: DType, shape: readonly number[], data: ArrayLike<number>): NdArray {
  if (data.length !== size(shape)) throw new Error(`[${shape.join(', ')}] does not hold ${data.length} numbers`);
  return { dtype, shape, data: Float64Array.from(data) };
}

export function size(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Attributes, of which most are numbers; an operator that has others asks for them by type. */
type Numbers = Readonly<Record<string, number | undefined>>;
type Run = (inputs: NdArray[], attributes: Numbers, node: Node) => NdArray[];

function fromTensor(tensor: Tensor): NdArray {
  const data = decodeTensor(tensor);
  if (data === undefined) throw new Error(`\`${tensor.name}\` holds no numbers`);
  return ndarray(tensor.dtype, tensor.dims, data);
}

// --- positions ---------------------------------------------------------------------------------------------------

/** Every position of an array of this shape, in row-major order. */
export function* positions(shape: readonly number[]): Generator<number[]> {
  const total = size(shape);
  for (let flat = 0; flat < total; flat++) {
    let rest = flat;
    const at: number[] = Array(shape.length);
    for (let i = shape.length - 1; i >= 0; i--) {
      at[i] = rest % shape[i]!;
      rest = Math.floor(rest / shape[i]!);
    }
    yield at;
  }
}

function offset(shape: readonly number[], at: readonly number[]): number {
  return at.reduce((flat, index, i) => flat * shape[i]! + index, 0);
}

/** An element; a shorter shape, or a size of 1, is broadcast. */
function get(x: NdArray, at: readonly number[]): number {
  const lead = at.length - x.shape.length;
  return x.data[x.shape.reduce((flat, dim, i) => flat * dim + (dim === 1 ? 0 : at[lead + i]!), 0)]!;
}

function build(dtype: DType, shape: readonly number[], f: (at: number[]) => number): NdArray {
  return { dtype, shape, data: Float64Array.from(positions(shape), f) };
}

function broadcast(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    const dims = shapes.map((shape) => shape[shape.length - rank + i] ?? 1);
    const large = dims.find((dim) => dim !== 1) ?? 1;
    if (dims.some((dim) => dim !== 1 && dim !== large)) throw new Error(`no broadcast of ${JSON.stringify(shapes)}`);
    return large;
  });
}

function axisIn(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

// --- kinds of operators ------------------------------------------------------------------------------------------

const map =
  (f: (x: number, attributes: Numbers) => number, dtype?: DType): Run =>
  ([x], attributes) => [
    { dtype: dtype ?? x!.dtype, shape: x!.shape, data: x!.data.map((value) => f(value, attributes)) },
  ];

const zip =
  (f: (...values: number[]) => number, dtype?: DType): Run =>
  (inputs) => {
    const shape = broadcast(inputs.map((x) => x.shape));
    return [build(dtype ?? inputs[0]!.dtype, shape, (at) => f(...inputs.map((x) => get(x, at))))];
  };

function reduceOver(x: NdArray, axes: readonly number[], keepdims: boolean, f: (values: number[]) => number): NdArray {
  const groups = new Map<number, number[]>();
  const kept = x.shape.map((dim, i) => (axes.includes(i) ? 1 : dim));
  for (const at of positions(x.shape)) {
    const key = offset(
      kept,
      at.map((index, i) => (axes.includes(i) ? 0 : index)),
    );
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [get(x, at)]);
    else group.push(get(x, at));
  }
  const shape = keepdims ? kept : kept.filter((_, i) => !axes.includes(i));
  return { dtype: x.dtype, shape, data: Float64Array.from({ length: size(kept) }, (_, i) => f(groups.get(i) ?? [])) };
}

const reduce =
  (f: (values: number[]) => number): Run =>
  ([x, axes], attributes) => {
    const rank = x!.shape.length;
    const given = axes ? [...axes.data] : ((attributes.axes as unknown as number[] | undefined) ?? []);
    const none = given.length === 0 && attributes.noop_with_empty_axes === 1;
    const over = given.length > 0 ? given.map((axis) => axisIn(axis, rank)) : none ? [] : [...Array(rank).keys()];
    return [reduceOver(x!, over, attributes.keepdims !== 0, f)];
  };

/** Each line of x along an axis, mapped to a line as long. */
function alongAxis(x: NdArray, axis: number, f: (line: number[]) => number[]): NdArray {
  const out = new Float64Array(x.data.length);
  for (const at of positions(x.shape.with(axis, 1))) {
    const offsets = Array.from({ length: x.shape[axis]! }, (_, i) => offset(x.shape, at.with(axis, i)));
    f(offsets.map((o) => x.data[o]!)).forEach((value, i) => {
      out[offsets[i]!] = value;
    });
  }
  return { ...x, data: out };
}

const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const largest = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
const smallest = (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
function logSumExp(values: readonly number[]): number {
  const top = largest(values);
  return top + Math.log(total(values.map((value) => Math.exp(value - top))));
}

/** By Kummer's series, whose terms all have one sign: 2/√π exp(-x²) Σ 2ⁿ x^(2n+1) / (2n+1)!! */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const tanhGelu = (x: number) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
function halfToEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

function transpose(x: NdArray, perm: readonly number[]): NdArray {
  return build(
    x.dtype,
    perm.map((axis) => x.shape[axis]!),
    (at) =>
      get(
        x,
        perm.map((_, axis) => at[perm.indexOf(axis)]!),
      ),
  );
}

function matmul(a: NdArray, b: NdArray, transA: boolean, transB: boolean, alpha: number): NdArray {
  const swap = (x: NdArray) => {
    const rank = x.shape.length;
    return transpose(x, [...Array(rank - 2).keys(), rank - 1, rank - 2]);
  };
  const [left, right] = [transA ? swap(a) : a, transB ? swap(b) : b];
  const inner = left.shape.at(-1)!;
  if (right.shape.at(-2) !== inner)
    throw new Error(`no product of [${left.shape.join(', ')}] and [${right.shape.join(', ')}]`);
  const batch = broadcast([left.shape.slice(0, -2), right.shape.slice(0, -2)]);
  return build(a.dtype, [...batch, left.shape.at(-2)!, right.shape.at(-1)!], (at) => {
    const [row, column] = [at.at(-2)!, at.at(-1)!];
    let sum = 0;
    for (let i = 0; i < inner; i++) {
      sum += get(left, [...at.slice(0, -2), row, i]) * get(right, [...at.slice(0, -2), i, column]);
    }
    return alpha * sum;
  });
}

/** x normalized over the axes from `axis` on, with the mean taken off or not; and the statistics. */
function normalize(
  x: NdArray,
  scale: NdArray,
  bias: NdArray | undefined,
  { axis = -1, epsilon = 1e-5 }: Numbers,
  centre: boolean,
) {
  const from = axisIn(axis, x.shape.length);
  const axes = x.shape.flatMap((_, i) => (i >= from ? [i] : []));
  const average = (values: number[]) => total(values) / values.length;
  const mean = centre ? reduceOver(x, axes, true, average) : undefined;
  const centred = mean === undefined ? x : build(x.dtype, x.shape, (at) => get(x, at) - get(mean, at));
  const r = reduceOver(centred, axes, true, (values) => 1 / Math.sqrt(average(values.map((v) => v * v)) + epsilon));
  const y = build(
    x.dtype,
    x.shape,
    (at) => get(centred, at) * get(r, at) * get(scale, at) + (bias ? get(bias, at) : 0),
  );
  const statistic = (value: NdArray): NdArray => ({ ...value, dtype: 'float32' });
  return { y, mean: mean && statistic(mean), r: statistic(r) };
}

const rms: Run = ([x, scale], attributes) => {
  const { y, r } = normalize(x!, scale!, undefined, attributes, false);
  return [y, r];
};

const scatterReductions: Readonly<Record<string, (old: number, update: number) => number>> = {
  none: (_, update) => update,
  add: (old, update) => old + update,
};

/** The place where each element of the updates goes. */
function scatter(data: NdArray, updates: NdArray, node: Node, place: (at: number[]) => number[]): NdArray[] {
  const how = node.attributes.reduction?.type === 'string' ? node.attributes.reduction.value : 'none';
  const out = data.data.slice();
  for (const at of positions(updates.shape)) {
    const o = offset(data.shape, place(at));
    out[o] = scatterReductions[how]!(out[o]!, get(updates, at));
  }
  return [{ ...data, data: out }];
}

/** The position in the data that a tuple of indices and the rest of a position name. */
function tuplePlace(data: NdArray, indices: NdArray, at: readonly number[]): number[] {
  const width = indices.shape.at(-1)!;
  const lead = indices.shape.length - 1;
  const tuple = Array.from({ length: width }, (_, i) => {
    const index = get(indices, [...at.slice(0, lead), i]);
    return index < 0 ? index + data.shape[i]! : index;
  });
  return [...tuple, ...at.slice(lead)];
}

const sameElements =
  (shape: (x: NdArray, rest: NdArray[], attributes: Numbers) => readonly number[]): Run =>
  ([x, ...rest], attributes) => [ndarray(x!.dtype, shape(x!, rest, attributes), x!.data)];

const listOf = (value: unknown) => value as number[] | undefined;

function arg(better: (a: number, b: number) => boolean): Run {
  return ([x], { axis = 0, keepdims }) => {
    const first = (values: number[]) => values.reduce((best, value, i) => (better(value, values[best]!) ? i : best), 0);
    return [{ ...reduceOver(x!, [axisIn(axis, x!.shape.length)], keepdims !== 0, first), dtype: 'int64' }];
  };
}

const dtypes: Readonly<Record<number, DType>> = { 1: 'float32', 6: 'int32', 7: 'int64', 9: 'bool', 11: 'float64' };

function tensorOf(attribute: AttributeValue | undefined): NdArray | undefined {
  return attribute?.type === 'tensor' ? fromTensor(attribute.value) : undefined;
}

// --- operators ---------------------------------------------------------------------------------------------------

const operators: Readonly<Record<string, Run>> = {
  Add: zip((a, b) => a! + b!),
  Sub: zip((a, b) => a! - b!),
  Mul: zip((a, b) => a! * b!),
  Div: ([a, b], attributes, node) => {
    const whole = a!.dtype.startsWith('int');
    return zip((x, y) => (whole ? Math.trunc(x! / y!) : x! / y!))([a!, b!], attributes, node);
  },
  Neg: map((x) => -x),
  Abs: map(Math.abs),
  Pow: zip((x, b) => x! ** b!),
  Sqrt: map(Math.sqrt),
  Reciprocal: map((x) => 1 / x),
  Exp: map(Math.exp),
  Log: map(Math.log),
  Tanh: map(Math.tanh),
  Sigmoid: map(sigmoid),
  Erf: map(erf),
  Sin: map(Math.sin),
  Cos: map(Math.cos),
  Relu: map((x) => Math.max(x, 0)),
  LeakyRelu: map((x, { alpha = 0.01 }) => (x < 0 ? alpha * x : x)),
  Softplus: map((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  Gelu: ([x], attributes, node) => {
    const tanh = (attributes.approximate as unknown) === 'tanh';
    return map(tanh ? tanhGelu : (v) => (v / 2) * (1 + erf(v * Math.SQRT1_2)))([x!], attributes, node);
  },
  QuickGelu: map((x, { alpha = 1.702 }) => x * sigmoid(alpha * x)),
  FastGelu: (inputs, attributes, node) => zip((x, bias = 0) => tanhGelu(x! + bias))(inputs, attributes, node),
  Clip: ([x, low, high], { min, max }) => {
    const lo = low?.data[0] ?? min ?? Number.NEGATIVE_INFINITY;
    const hi = high?.data[0] ?? max ?? Number.POSITIVE_INFINITY;
    return [{ ...x!, data: x!.data.map((v) => Math.min(Math.max(v, lo), hi)) }];
  },
  Min: zip(Math.min),
  Max: zip(Math.max),
  Sum: zip((...values) => total(values)),
  Where: ([condition, a, b]) => {
    const shape = broadcast([condition!.shape, a!.shape, b!.shape]);
    return [build(a!.dtype, shape, (at) => (get(condition!, at) ? get(a!, at) : get(b!, at)))];
  },
  Mod: ([a, b], attributes, node) =>
    zip((x, y) => (attributes.fmod === 1 ? x! % y! : x! - y! * Math.floor(x! / y!)))([a!, b!], attributes, node),
  Floor: map(Math.floor),
  Ceil: map(Math.ceil),
  Round: map(halfToEven),
  Sign: map(Math.sign),

  Equal: zip((a, b) => Number(a === b), 'bool'),
  Less: zip((a, b) => Number(a! < b!), 'bool'),
  LessOrEqual: zip((a, b) => Number(a! <= b!), 'bool'),
  Greater: zip((a, b) => Number(a! > b!), 'bool'),
  GreaterOrEqual: zip((a, b) => Number(a! >= b!), 'bool'),
  And: zip((a, b) => a! & b!, 'bool'),
  Or: zip((a, b) => a! | b!, 'bool'),
  Xor: zip((a, b) => a! ^ b!, 'bool'),
  Not: map((a) => 1 - a, 'bool'),
  IsNaN: map((x) => Number(Number.isNaN(x)), 'bool'),

  MatMul: ([a, b]) => [matmul(a!, b!, false, false, 1)],
  FusedMatMul: ([a, b], { transA, transB, alpha = 1 }) => [matmul(a!, b!, transA === 1, transB === 1, alpha)],
  Gemm: ([a, b, c], { transA, transB, alpha = 1, beta = 1 }) => {
    const y = matmul(a!, b!, transA === 1, transB === 1, alpha);
    return [c === undefined ? y : build(y.dtype, y.shape, (at) => get(y, at) + beta * get(c, at))];
  },

  Softmax: ([x], { axis = -1 }) => [
    alongAxis(x!, axisIn(axis, x!.shape.length), (line) => line.map((v) => Math.exp(v - logSumExp(line)))),
  ],
  LogSoftmax: ([x], { axis = -1 }) => [
    alongAxis(x!, axisIn(axis, x!.shape.length), (line) => line.map((v) => v - logSumExp(line))),
  ],
  ReduceSum: reduce(total),
  ReduceMean: reduce((values) => total(values) / values.length),
  ReduceMax: reduce(largest),
  ReduceMin: reduce(smallest),
  ReduceLogSumExp: reduce(logSumExp),
  ReduceSumSquare: reduce((values) => total(values.map((v) => v * v))),
  ReduceL1: reduce((values) => total(values.map(Math.abs))),
  ReduceL2: reduce((values) => Math.sqrt(total(values.map((v) => v * v)))),
  CumSum: ([x, axis], { exclusive, reverse }) => [
    alongAxis(x!, axisIn(axis!.data[0]!, x!.shape.length), (line) => {
      const ordered = reverse === 1 ? line.toReversed() : line;
      const sums = ordered.map((_, i) => total(ordered.slice(0, exclusive === 1 ? i : i + 1)));
      return reverse === 1 ? sums.reverse() : sums;
    }),
  ],
  ArgMax: arg((a, b) => a > b),
  ArgMin: arg((a, b) => a < b),
  TopK: ([x, k], { axis = -1, largest: descending = 1 }) => {
    const along = axisIn(axis, x!.shape.length);
    const order = (line: number[]) =>
      [...line.keys()].sort((i, j) => (descending === 1 ? line[j]! - line[i]! : line[i]! - line[j]!) || i - j);
    const shape = x!.shape.with(along, k!.data[0]!);
    const ranked = alongAxis(x!, along, order);
    const indices = build('int64', shape, (at) => get(ranked, at));
    return [build(x!.dtype, shape, (at) => get(x!, at.with(along, get(indices, at)))), indices];
  },

  LayerNormalization: ([x, scale, bias], attributes) => {
    const { y, mean, r } = normalize(x!, scale!, bias, attributes, true);
    return [y, mean!, r];
  },
  SimplifiedLayerNormalization: rms,
  RMSNormalization: rms,
  /** x [rows, tokens, heads * d]; positions [rows, tokens], or one to count from; cos and sin [positions, d / 2]. */
  RotaryEmbedding: ([x, ids, cos, sin], { interleaved, num_heads = 0 }) => {
    const width = x!.shape[2];
    const half = cos!.shape[1]!;
    const head = num_heads > 0 ? width! / num_heads : 2 * half;
    return [
      build(x!.dtype, x!.shape, (at) => {
        const [row, token, column] = at as [number, number, number];
        const position = ids!.data.length === 1 ? ids!.data[0]! + token : get(ids!, [row, token]);
        const within = column % head;
        if (within >= 2 * half) return get(x!, at);
        const pair = interleaved === 1 ? within >> 1 : within % half;
        const first = interleaved === 1 ? within % 2 === 0 : within < half;
        const other = column + (first ? 1 : -1) * (interleaved === 1 ? 1 : half);
        const [c, s] = [get(cos!, [position, pair]), get(sin!, [position, pair])];
        return get(x!, at) * c + (first ? -1 : 1) * get(x!, [row, token, other]) * s;
      }),
    ];
  },

  Gather: ([x, indices], { axis = 0 }) => {
    const along = axisIn(axis, x!.shape.length);
    const width = indices!.shape.length;
    return [
      build(x!.dtype, [...x!.shape.slice(0, along), ...indices!.shape, ...x!.shape.slice(along + 1)], (at) => {
        const index = get(indices!, at.slice(along, along + width));
        return get(x!, [...at.slice(0, along), axisIn(index, x!.shape[along]!), ...at.slice(along + width)]);
      }),
    ];
  },
  GatherElements: ([x, indices], { axis = 0 }) => {
    const along = axisIn(axis, x!.shape.length);
    return [
      build(
        x!.dtype,
        indices!.shape,
        (at) => x!.data[offset(x!.shape, at.with(along, axisIn(get(indices!, at), x!.shape[along]!)))]!,
      ),
    ];
  },
  GatherND: ([x, indices]) => {
    const shape = [...indices!.shape.slice(0, -1), ...x!.shape.slice(indices!.shape.at(-1)!)];
    return [build(x!.dtype, shape, (at) => get(x!, tuplePlace(x!, indices!, at)))];
  },
  ScatterND: ([x, indices, updates], _, node) => scatter(x!, updates!, node, (at) => tuplePlace(x!, indices!, at)),
  ScatterElements: ([x, indices, updates], { axis = 0 }, node) => {
    const along = axisIn(axis, x!.shape.length);
    return scatter(x!, updates!, node, (at) => at.with(along, axisIn(get(indices!, at), x!.shape[along]!)));
  },

  Identity: ([x]) => [x!],
  Cast: ([x], { to }) => {
    const dtype = dtypes[to!]!;
    const f =
      dtype === 'bool' ? (v: number) => Number(v !== 0) : dtype.startsWith('int') ? Math.trunc : (v: number) => v;
    return [{ dtype, shape: x!.shape, data: x!.data.map(f) }];
  },
  Reshape: sameElements((x, [target], { allowzero }) => {
    const sizes = [...target!.data].map((dim, i) => (dim === 0 && allowzero !== 1 ? x.shape[i]! : dim));
    return sizes.map((dim) => (dim === -1 ? x.data.length / Math.abs(size(sizes)) : dim));
  }),
  Unsqueeze: sameElements((x, [axes], attributes) => {
    const given = axes ? [...axes.data] : listOf(attributes.axes)!;
    const rank = x.shape.length + given.length;
    const at = given.map((axis) => axisIn(axis, rank));
    const left = [...x.shape];
    return Array.from({ length: rank }, (_, i) => (at.includes(i) ? 1 : left.shift()!));
  }),
  Squeeze: sameElements((x, [axes], attributes) => {
    const given = (axes ? [...axes.data] : listOf(attributes.axes))?.map((axis) => axisIn(axis, x.shape.length));
    return x.shape.filter((dim, i) => (given === undefined ? dim !== 1 : !given.includes(i)));
  }),
  Transpose: ([x], { perm }) => [transpose(x!, listOf(perm) ?? [...x!.shape.keys()].reverse())],
  Concat: (inputs, { axis = 0 }) => {
    const along = axisIn(axis, inputs[0]!.shape.length);
    const shape = inputs[0]!.shape.with(along, total(inputs.map((x) => x.shape[along]!)));
    return [
      build(inputs[0]!.dtype, shape, (at) => {
        let index = at[along]!;
        const part = inputs.find((x) => {
          if (index < x.shape[along]!) return true;
          index -= x.shape[along]!;
          return false;
        })!;
        return get(part, at.with(along, part.shape[along] === 1 ? 0 : index));
      }),
    ];
  },
  Split: ([x, sizes], attributes, node) => {
    const along = axisIn(attributes.axis ?? 0, x!.shape.length);
    const count = node.outputs.length;
    const dim = x!.shape[along]!;
    const part = Math.ceil(dim / count);
    const lengths = sizes
      ? [...sizes.data]
      : (listOf(attributes.split) ?? node.outputs.map((_, i) => Math.min(part, dim - i * part)));
    return lengths.map((length, i) => {
      const start = total(lengths.slice(0, i));
      return build(x!.dtype, x!.shape.with(along, length), (at) => get(x!, at.with(along, start + at[along]!)));
    });
  },
  Slice: ([x, starts, ends, axes, steps], attributes) => {
    const from = starts ? [...starts.data] : listOf(attributes.starts)!;
    const to = ends ? [...ends.data] : listOf(attributes.ends)!;
    const at = axes ? [...axes.data] : (listOf(attributes.axes) ?? from.map((_, i) => i));
    const picked = x!.shape.map((dim) => [...Array(dim).keys()]);
    at.forEach((given, i) => {
      const axis = axisIn(given, x!.shape.length);
      const dim = x!.shape[axis]!;
      const step = steps?.data[i] ?? 1;
      const [low, high] = step > 0 ? [0, dim] : [-1, dim - 1];
      const clamp = (index: number) => Math.min(Math.max(index < 0 ? index + dim : index, low), high);
      const line: number[] = [];
      for (
        let j = step < 0 ? Math.max(clamp(from[i]!), 0) : clamp(from[i]!);
        step > 0 ? j < clamp(to[i]!) : j > clamp(to[i]!);
        j += step
      )
        line.push(j);
      picked[axis] = line;
    });
    return [
      build(
        x!.dtype,
        picked.map((line) => line.length),
        (position) =>
          get(
            x!,
            position.map((index, i) => picked[i]![index]!),
          ),
      ),
    ];
  },
  Pad: ([x, pads, value, axes], attributes) => {
    const given = pads ? [...pads.data] : listOf(attributes.pads)!;
    const over = axes ? [...axes.data].map((axis) => axisIn(axis, x!.shape.length)) : [...x!.shape.keys()];
    const before = x!.shape.map((_, i) => (over.includes(i) ? given[over.indexOf(i)]! : 0));
    const after = x!.shape.map((_, i) => (over.includes(i) ? given[over.indexOf(i) + over.length]! : 0));
    return [
      build(
        x!.dtype,
        x!.shape.map((dim, i) => dim + before[i]! + after[i]!),
        (at) => {
          const from = at.map((index, i) => index - before[i]!);
          const inside = from.every((index, i) => index >= 0 && index < x!.shape[i]!);
          return inside ? x!.data[offset(x!.shape, from)]! : (value?.data[0] ?? 0);
        },
      ),
    ];
  },
  Expand: ([x, target]) => [build(x!.dtype, broadcast([x!.shape, [...target!.data]]), (at) => get(x!, at))],
  Tile: ([x, repeats]) => [
    build(
      x!.dtype,
      x!.shape.map((dim, i) => dim * repeats!.data[i]!),
      (at) =>
        get(
          x!,
          at.map((index, i) => index % x!.shape[i]!),
        ),
    ),
  ],
  Trilu: ([x, k], { upper = 1 }) => [
    build(x!.dtype, x!.shape, (at) => {
      const diagonal = at.at(-1)! - at.at(-2)! - (k?.data[0] ?? 0);
      return (upper === 1 ? diagonal >= 0 : diagonal <= 0) ? get(x!, at) : 0;
    }),
  ],

  Shape: ([x], { start = 0, end }) => {
    const dims = x!.shape.slice(start, end);
    return [ndarray('int64', [dims.length], dims)];
  },
  Size: ([x]) => [ndarray('int64', [], [x!.data.length])],
  Range: ([start, limit, delta]) => {
    const [from, to, by] = [start!.data[0]!, limit!.data[0]!, delta!.data[0]!];
    const count = Math.max(0, Math.ceil((to - from) / by));
    return [build(start!.dtype, [count], ([i]) => from + i! * by)];
  },
  ConstantOfShape: ([target], _, node) => {
    const value = tensorOf(node.attributes.value);
    return [build(value?.dtype ?? 'float32', [...target!.data], () => value?.data[0] ?? 0)];
  },
  Constant: (_, attributes, node) => {
    const value = tensorOf(node.attributes.value);
    if (value !== undefined) return [value];
    const { value_float, value_int, value_floats, value_ints } = attributes;
    const list = listOf(value_floats) ?? listOf(value_ints);
    const dtype = value_float !== undefined || value_floats !== undefined ? 'float32' : 'int64';
    return [list ? ndarray(dtype, [list.length], list) : ndarray(dtype, [], [value_float ?? value_int!])];
  },
  OneHot: ([indices, depth, values], { axis = -1 }) => {
    const along = axisIn(axis, indices!.shape.length + 1);
    const [off, on] = values!.data;
    return [
      build(values!.dtype, indices!.shape.toSpliced(along, 0, depth!.data[0]!), (at) =>
        axisIn(get(indices!, at.toSpliced(along, 1)), depth!.data[0]!) === at[along] ? on! : off!,
      ),
    ];
  },
};

/** Operators the evaluator knows. */
export const evaluated: readonly string[] = Object.keys(operators);
