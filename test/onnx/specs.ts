import type { AttributeValue, DType } from '@kelpie/onnx';

/**
 * One operator as it is tried: attributes, and inputs with their shapes and the numbers they may hold. Sizes 5 and 7 are
 * tried as the symbols `rows` and `tokens` too.
 */
export interface Spec {
  readonly op: string;
  readonly domain?: string;
  /** The opset of the ONNX domain, where the node is not of opset 21. Below that only the forward graph is run. */
  readonly opset?: number;
  readonly attributes?: Readonly<Record<string, number | string | readonly number[] | AttributeValue>>;
  readonly inputs: readonly Input[];
  readonly outputs?: number;
  /** Outputs whose cotangents are given; all floats unless said. */
  readonly through?: readonly number[];
  /** ONNX Runtime's float64: no kernel, or one that is no better than this (float32 constants inside). */
  readonly float64?: 'missing' | number;
}

export type Input =
  | {
      readonly kind: 'float';
      readonly shape: readonly number[];
      readonly low: number;
      readonly high: number;
      readonly wanted: boolean;
    }
  /** No two alike, and none near another: for operators that choose among elements. */
  | { readonly kind: 'distinct'; readonly shape: readonly number[] }
  /** The very value of an earlier input. */
  | { readonly kind: 'again'; readonly input: number }
  | {
      readonly kind: 'index';
      readonly shape: readonly number[];
      readonly below: number;
      readonly unique: boolean;
      readonly negative: boolean;
    }
  | { readonly kind: 'bool'; readonly shape: readonly number[] }
  | {
      readonly kind: 'constant';
      readonly dtype: DType | 'float';
      readonly shape: readonly number[];
      readonly values: readonly number[];
    }
  | { readonly kind: 'absent' };

const x = (shape: readonly number[], low = -2, high = 2): Input => ({ kind: 'float', shape, low, high, wanted: true });
const positive = (shape: readonly number[]): Input => x(shape, 0.2, 2);
const between = (low: number, high: number) => (shape: readonly number[]) => x(shape, low, high);
/** Floats that carry no gradient. */
const given = (shape: readonly number[]): Input => ({ kind: 'float', shape, low: -2, high: 2, wanted: false });
const distinct = (shape: readonly number[]): Input => ({ kind: 'distinct', shape });
const again = (input: number): Input => ({ kind: 'again', input });
const index = (shape: readonly number[], below: number): Input => ({
  kind: 'index',
  shape,
  below,
  unique: false,
  negative: true,
});
/** Along the first axis no index repeats, as a scatter that overwrites needs. */
const unique = (shape: readonly number[], below: number): Input => ({
  kind: 'index',
  shape,
  below,
  unique: true,
  negative: false,
});
const whole = (shape: readonly number[], below: number): Input => ({
  kind: 'index',
  shape,
  below,
  unique: false,
  negative: false,
});
const bool = (shape: readonly number[]): Input => ({ kind: 'bool', shape });
const ints = (...values: number[]): Input => ({ kind: 'constant', dtype: 'int64', shape: [values.length], values });
const int = (value: number): Input => ({ kind: 'constant', dtype: 'int64', shape: [], values: [value] });
const number = (value: number): Input => ({ kind: 'constant', dtype: 'float', shape: [], values: [value] });
const absent: Input = { kind: 'absent' };
const noFloat64 = { float64: 'missing' } as const;
const float = (value: number): AttributeValue => ({ type: 'float', value });
const FAR = 2 ** 62;

/** Ranks 1 to 4, a scalar, sizes of 1. */
const shapes = [[4], [], [2, 3], [5, 1, 7], [2, 5, 1, 3]];

/** Equal, scalar on either side, trailing, leading, both, across ranks. */
const pairs: readonly (readonly [readonly number[], readonly number[]])[] = [
  [
    [2, 3],
    [2, 3],
  ],
  [[2, 3], []],
  [[], [2, 3]],
  [[5, 2, 3], [3]],
  [[3], [5, 2, 3]],
  [
    [5, 3],
    [5, 1],
  ],
  [
    [5, 1, 3],
    [1, 4, 1],
  ],
  [
    [2, 5, 7, 1],
    [7, 3],
  ],
  [
    [1, 1],
    [1, 3],
  ],
];

const unary = (op: string, of: (shape: readonly number[]) => Input = x, more: Partial<Spec> = {}): Spec[] =>
  shapes.map((shape) => ({ op, ...more, inputs: [of(shape)] }));

const binary = (op: string, left = x, right = left, more: Partial<Spec> = {}): Spec[] => [
  ...pairs.map(([a, b]) => ({ op, ...more, inputs: [left(a), right(b)] })),
  { op, ...more, inputs: [left([2, 3]), again(0)] },
];

const variadic = (op: string, of: (shape: readonly number[]) => Input): Spec[] => [
  ...pairs.map(([a, b]) => ({ op, inputs: [of(a), of(b)] })),
  { op, inputs: [of([5, 3])] },
  { op, inputs: [of([5, 1]), of([3]), of([])] },
  { op, inputs: [of([2, 3]), again(0), of([2, 3])] },
];

const reduce = (op: string, of: (shape: readonly number[]) => Input = x): Spec[] => [
  { op, inputs: [of([2, 3])] },
  { op, inputs: [of([5, 4, 7])], attributes: { keepdims: 0 } },
  { op, inputs: [of([5, 4, 7]), ints(-1)] },
  { op, inputs: [of([5, 4, 7]), ints(0)], attributes: { keepdims: 0 } },
  { op, inputs: [of([5, 7, 3]), ints(1, 0)], attributes: { keepdims: 0 } },
  { op, inputs: [of([2, 5, 1, 3]), ints(0, 2)] },
  { op, inputs: [of([2, 3]), ints(1)], attributes: { keepdims: 0 } },
  // Axes were an attribute up to opset 12 (ReduceSum) and 17 (the others).
  { op, opset: 11, inputs: [of([5, 4, 7])], attributes: { axes: [1], keepdims: 0 } },
  { op, opset: 11, inputs: [of([2, 3])], attributes: { axes: [-1] } },
];

const unreduced = (op: string, of: (shape: readonly number[]) => Input = x): Spec[] => [
  { op, inputs: [of([5, 3])], attributes: { noop_with_empty_axes: 1 } },
  { op, inputs: [of([5, 3]), ints()], attributes: { noop_with_empty_axes: 1 } },
];

const flags = [0, 1].flatMap((transA) => [0, 1].map((transB) => ({ transA, transB })));
const turned = (trans: number, shape: readonly number[]) =>
  trans === 1 ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : shape;

const products: readonly (readonly [readonly number[], readonly number[]])[] = [
  [
    [2, 3],
    [3, 4],
  ],
  [
    [5, 7, 3],
    [3, 2],
  ],
  [
    [5, 7, 3],
    [5, 3, 2],
  ],
  [
    [2, 3],
    [5, 3, 4],
  ],
  [
    [2, 5, 7, 3],
    [3, 4],
  ],
  [
    [5, 1, 2, 3],
    [4, 3, 2],
  ],
  [
    [5, 2, 7, 3],
    [5, 2, 3, 7],
  ],
  [
    [1, 3],
    [3, 1],
  ],
];

const softmaxes = (op: string): Spec[] => [
  { op, inputs: [x([2, 3])] },
  { op, inputs: [x([5, 7, 4])], attributes: { axis: 1 } },
  { op, inputs: [x([5, 4])], attributes: { axis: 0 } },
  { op, inputs: [x([2, 5, 1, 3])], attributes: { axis: -1 } },
  { op, inputs: [x([2, 3], 500, 503)] },
];

const normalizations = (
  op: string,
  bias: boolean,
  more: Partial<Spec> = {},
  outputs: readonly number[] = [1],
): Spec[] =>
  outputs.flatMap((count) => {
    const base = { op, ...more, ...(count > 1 ? { outputs: count, through: [0] } : {}) };
    return [
      { ...base, inputs: [x([2, 4]), x([4])] },
      { ...base, inputs: [x([5, 7, 4]), x([4]), ...(bias ? [x([4])] : [])] },
      { ...base, inputs: [x([5, 7, 4]), x([4])], attributes: { epsilon: 0.1 } },
      { ...base, inputs: [x([2, 3, 1]), x([1]), ...(bias ? [x([1])] : [])], attributes: { epsilon: 0.5 } },
    ];
  });

export const specs: readonly Spec[] = [
  ...binary('Add'),
  ...binary('Sub'),
  ...binary('Mul'),
  ...binary('Div', x, positive),
  ...binary('Pow', positive, x),
  ...[1, 2, 3, 0.5, -1].flatMap((b): Spec[] => [{ op: 'Pow', inputs: [positive([5, 3]), number(b)] }]),
  ...[2, 3].flatMap((b): Spec[] => [{ op: 'Pow', inputs: [x([2, 3]), number(b)] }]),
  { op: 'Pow', inputs: [x([2, 3]), int(2)] },
  { op: 'Pow', inputs: [positive([2]), { kind: 'constant', dtype: 'float', shape: [2, 1], values: [2, 3] }] },
  { op: 'Pow', inputs: [positive([2]), { kind: 'constant', dtype: 'float', shape: [3, 1], values: [2, 2, 2] }] },
  ...unary('Neg'),
  ...unary('Abs', distinct),
  ...unary('Sqrt', positive),
  ...unary('Reciprocal', positive),
  ...unary('Exp'),
  ...unary('Log', positive),
  ...unary('Tanh'),
  ...unary('Sigmoid'),
  ...unary('Erf', x, noFloat64),
  ...unary('Sin'),
  ...unary('Cos'),
  ...unary('Relu', distinct),
  ...unary('LeakyRelu', distinct, noFloat64),
  ...unary('LeakyRelu', distinct, { attributes: { alpha: 0.3 }, ...noFloat64 }),
  ...unary('Softplus', x, noFloat64),
  { op: 'Softplus', ...noFloat64, inputs: [x([2, 3], -40, 40)] },
  ...unary('Gelu', x, noFloat64),
  ...unary('Gelu', x, { attributes: { approximate: 'tanh' }, float64: 1e-6 }),
  ...unary('Gelu', x, { attributes: { approximate: 'none' }, ...noFloat64 }),
  ...unary('QuickGelu', x, { ...noFloat64, domain: 'com.microsoft' }),
  ...unary('QuickGelu', x, { ...noFloat64, domain: 'com.microsoft', attributes: { alpha: 1 } }),
  ...unary('FastGelu', x, { domain: 'com.microsoft', float64: 1e-6 }).filter(
    ({ inputs: [a] }) => a?.kind === 'float' && a.shape.length > 0,
  ),
  { op: 'FastGelu', domain: 'com.microsoft', float64: 1e-6, inputs: [x([5, 7, 3]), x([3])] },
  { op: 'FastGelu', domain: 'com.microsoft', float64: 1e-6, inputs: [x([2, 3]), x([3])] },
  ...unary('Clip', distinct),
  { op: 'Clip', inputs: [distinct([5, 3]), number(-0.72), number(0.81)] },
  { op: 'Clip', inputs: [x([2, 3]), x([], -1, -0.9), x([], 0.9, 1)] },
  { op: 'Clip', inputs: [x([5, 3]), absent, x([], 0.2, 0.3)] },
  { op: 'Clip', inputs: [x([5, 3]), x([], 0.2, 0.3)] },
  {
    op: 'Clip',
    opset: 10,
    ...noFloat64,
    inputs: [distinct([2, 3])],
    attributes: { min: float(-0.72), max: float(0.81) },
  },
  ...variadic('Min', distinct),
  ...variadic('Max', distinct),
  ...variadic('Sum', x),
  ...pairs.map(([a, b]): Spec => ({ op: 'Where', inputs: [bool(a), x(b), x(a)] })),
  { op: 'Where', inputs: [bool([5, 1]), x([3]), x([])] },
  { op: 'Where', inputs: [bool([2, 3]), x([2, 3]), again(1)] },
  // Away from the jumps: the quotient stays between 2 and 3.
  ...binary('Mod', between(2.1, 2.4), between(0.9, 1), { attributes: { fmod: 1 } }).slice(0, -1),
  ...binary('Mod', between(-2.4, -2.1), between(0.9, 1), { attributes: { fmod: 1 } }).slice(0, 2),

  ...products.map(([a, b]): Spec => ({ op: 'MatMul', inputs: [x(a), x(b)] })),
  { op: 'MatMul', inputs: [x([3, 3]), again(0)] },
  ...flags.flatMap(({ transA, transB }) =>
    products.map(
      ([a, b], i): Spec => ({
        op: 'FusedMatMul',
        domain: 'com.microsoft',
        attributes: { transA, transB, ...(i % 2 === 1 ? { alpha: 0.5 } : {}) },
        inputs: [x(turned(transA, a)), x(turned(transB, b))],
      }),
    ),
  ),
  { op: 'FusedMatMul', domain: 'com.microsoft', inputs: [x([2, 3]), x([3, 4])] },
  ...flags.flatMap(({ transA, transB }): Spec[] => [
    { op: 'Gemm', attributes: { transA, transB }, inputs: [x(turned(transA, [5, 3])), x(turned(transB, [3, 4]))] },
    {
      op: 'Gemm',
      attributes: { transA, transB, alpha: 0.5, beta: 2 },
      inputs: [x(turned(transA, [2, 3])), x(turned(transB, [3, 2])), x([2])],
    },
  ]),
  ...[[5, 4], [5, 1], [1, 4], [1], []].map((c): Spec => ({ op: 'Gemm', inputs: [x([5, 3]), x([3, 4]), x(c)] })),

  ...softmaxes('Softmax'),
  ...softmaxes('LogSoftmax'),
  ...reduce('ReduceSum'),
  ...unreduced('ReduceSum'),
  ...reduce('ReduceMean'),
  ...unreduced('ReduceMean'),
  ...reduce('ReduceMax', distinct),
  ...unreduced('ReduceMax', distinct),
  ...reduce('ReduceMin', distinct),
  ...unreduced('ReduceMin', distinct),
  ...reduce('ReduceLogSumExp'),
  { op: 'ReduceLogSumExp', inputs: [x([2, 3], 500, 503), ints(-1)] },
  ...reduce('ReduceSumSquare'),
  ...reduce('ReduceL1', distinct),
  ...reduce('ReduceL2'),
  ...flags.flatMap(({ transA: exclusive, transB: reverse }): Spec[] => [
    { op: 'CumSum', attributes: { exclusive, reverse }, inputs: [x([2, 3]), int(1)] },
    { op: 'CumSum', attributes: { exclusive, reverse }, inputs: [x([5, 7, 1]), int(-2)] },
  ]),
  { op: 'CumSum', inputs: [x([4]), int(0)] },
  { op: 'TopK', outputs: 2, inputs: [distinct([5, 4]), ints(2)] },
  { op: 'TopK', outputs: 2, attributes: { axis: 0 }, inputs: [distinct([4, 2]), ints(3)] },
  { op: 'TopK', outputs: 2, attributes: { axis: 1, largest: 0 }, inputs: [distinct([5, 4, 7]), ints(1)] },

  ...normalizations('LayerNormalization', true, {}, [1, 3]),
  { op: 'LayerNormalization', attributes: { axis: 1 }, inputs: [x([5, 2, 3]), x([2, 3]), x([2, 3])] },
  { op: 'LayerNormalization', attributes: { axis: -2 }, inputs: [x([2, 2, 3]), x([2, 3])], outputs: 3, through: [0] },
  ...normalizations('SimplifiedLayerNormalization', false, {}, [1, 2]),
  ...normalizations('RMSNormalization', false, { opset: 23 }),
  { op: 'RMSNormalization', opset: 23, attributes: { axis: 1 }, inputs: [x([5, 2, 3]), x([2, 3])] },
  ...[0, 1].flatMap((interleaved): Spec[] => [
    {
      op: 'RotaryEmbedding',
      ...noFloat64,
      domain: 'com.microsoft',
      attributes: { interleaved },
      inputs: [x([2, 3, 8]), whole([2, 3], 6), given([6, 2]), given([6, 2])],
    },
    {
      op: 'RotaryEmbedding',
      ...noFloat64,
      domain: 'com.microsoft',
      attributes: { interleaved },
      inputs: [x([5, 7, 4]), whole([5, 7], 9), given([9, 2]), given([9, 2])],
    },
  ]),

  { op: 'Gather', inputs: [x([4, 3]), index([6], 4)] },
  { op: 'Gather', inputs: [x([4, 3]), index([5, 7], 4)] },
  { op: 'Gather', inputs: [x([4]), index([], 4)] },
  { op: 'Gather', attributes: { axis: 1 }, inputs: [x([5, 4, 7]), index([3], 4)] },
  { op: 'Gather', attributes: { axis: 1 }, inputs: [x([5, 4, 7]), index([2, 3], 4)] },
  { op: 'Gather', attributes: { axis: -1 }, inputs: [x([5, 7, 4]), index([2, 2], 4)] },
  { op: 'Gather', attributes: { axis: 1 }, inputs: [x([2, 4, 3]), int(-1)] },
  { op: 'Gather', inputs: [x([5, 7, 3]), whole([6], 5)] },
  { op: 'GatherElements', inputs: [x([4, 3]), index([2, 3], 4)] },
  { op: 'GatherElements', attributes: { axis: -1 }, inputs: [x([5, 7, 4]), index([5, 7, 1], 4)] },
  { op: 'GatherElements', attributes: { axis: 1 }, inputs: [x([2, 3]), index([2, 6], 3)] },
  { op: 'GatherND', inputs: [x([2, 2]), index([3, 2], 2)] },
  { op: 'GatherND', inputs: [x([4, 5]), index([6, 1], 4)] },
  { op: 'GatherND', inputs: [x([3, 3, 2]), index([5, 7, 2], 3)] },
  { op: 'GatherND', inputs: [x([5, 7, 3]), whole([5, 2], 5)] },
  { op: 'ScatterND', inputs: [x([6, 2]), unique([3, 1], 6), x([3, 2])] },
  { op: 'ScatterND', inputs: [x([6, 2]), index([4, 1], 6), x([4, 2])], attributes: { reduction: 'add' } },
  { op: 'ScatterND', inputs: [x([3, 3, 2]), index([5, 2], 3), x([5, 2])], attributes: { reduction: 'add' } },
  { op: 'ScatterElements', inputs: [x([6, 2]), unique([3, 2], 6), x([3, 2])] },
  {
    op: 'ScatterElements',
    attributes: { axis: 1, reduction: 'add' },
    inputs: [x([5, 3]), index([5, 4], 3), x([5, 4])],
  },
  {
    op: 'ScatterElements',
    attributes: { axis: -1, reduction: 'add' },
    inputs: [x([2, 3]), index([2, 4], 3), x([2, 4])],
  },

  ...unary('Identity'),
  ...[1, 11].flatMap((to) => unary('Cast', x, { attributes: { to } })),
  { op: 'Cast', inputs: [index([2, 3], 5)], attributes: { to: 1 } },
  { op: 'Cast', inputs: [given([2, 3])], attributes: { to: 7 } },
  { op: 'Cast', inputs: [bool([2, 3])], attributes: { to: 6 } },
  { op: 'Reshape', inputs: [x([2, 6]), ints(3, 4)] },
  { op: 'Reshape', inputs: [x([5, 7, 6]), ints(0, 0, 2, 3)] },
  { op: 'Reshape', inputs: [x([5, 7, 6]), ints(-1, 6)] },
  { op: 'Reshape', inputs: [x([5, 7, 6]), ints(0, -1)] },
  { op: 'Reshape', inputs: [x([2, 3]), ints(-1)] },
  { op: 'Reshape', inputs: [x([1, 1]), ints()] },
  { op: 'Reshape', inputs: [x([2, 3]), ints(3, 2)], attributes: { allowzero: 1 } },
  { op: 'Transpose', inputs: [x([2, 3])] },
  { op: 'Transpose', inputs: [x([5, 2, 7])], attributes: { perm: [1, 2, 0] } },
  { op: 'Transpose', inputs: [x([2, 5, 1, 3])], attributes: { perm: [0, 2, 1, 3] } },
  { op: 'Transpose', inputs: [x([2, 5, 7, 3])], attributes: { perm: [3, 0, 1, 2] } },
  { op: 'Concat', inputs: [x([2, 3]), x([1, 3])], attributes: { axis: 0 } },
  { op: 'Concat', inputs: [x([5, 3]), x([5, 2]), x([5, 1])], attributes: { axis: -1 } },
  { op: 'Concat', inputs: [x([5, 3]), x([7, 3])], attributes: { axis: 0 } },
  { op: 'Concat', inputs: [x([5, 2, 4]), x([5, 7, 4])], attributes: { axis: 1 } },
  { op: 'Concat', inputs: [x([2, 3]), again(0)], attributes: { axis: 1 } },
  { op: 'Concat', inputs: [x([2, 3])], attributes: { axis: 1 } },
  { op: 'Split', outputs: 2, inputs: [x([5, 4]), ints(1, 3)], attributes: { axis: 1 } },
  { op: 'Split', outputs: 3, inputs: [x([6, 2]), ints(1, 2, 3)] },
  { op: 'Split', outputs: 2, inputs: [x([5, 7, 4])], attributes: { axis: -1, num_outputs: 2 } },
  { op: 'Split', outputs: 2, inputs: [x([5, 4, 3])], attributes: { axis: -1, num_outputs: 2 } },
  { op: 'Split', outputs: 3, inputs: [x([4, 2]), ints(1, 2, 1)], through: [1] },
  { op: 'Split', opset: 11, outputs: 2, inputs: [x([2, 4])], attributes: { axis: 1, split: [3, 1] } },
  { op: 'Split', opset: 13, outputs: 2, inputs: [x([2, 4])], attributes: { axis: 1 } },
  { op: 'Slice', inputs: [x([2, 4]), ints(1), ints(3), ints(1)] },
  { op: 'Slice', inputs: [x([4, 4]), ints(1, -2), ints(3, FAR)] },
  { op: 'Slice', inputs: [x([5, 7, 4]), ints(1), ints(FAR), ints(1)] },
  { op: 'Slice', inputs: [x([5, 7, 4]), ints(-2), ints(FAR), ints(1)] },
  { op: 'Slice', inputs: [x([5, 7, 4]), ints(0, 0), ints(FAR, -1), ints(0, 1)] },
  { op: 'Slice', inputs: [x([5, 7]), ints(0), ints(3), ints(1)] },
  { op: 'Slice', inputs: [x([5, 6]), ints(0), ints(FAR), ints(-1), ints(2)] },
  { op: 'Slice', inputs: [x([5, 6]), ints(1), ints(FAR), ints(-1), ints(2)] },
  { op: 'Slice', inputs: [x([5, 6]), ints(FAR), ints(-FAR), ints(0), ints(-1)] },
  { op: 'Slice', inputs: [x([5, 7, 4]), ints(-1, 3), ints(0, 0), ints(1, 2), ints(-2, -1)] },
  { op: 'Slice', inputs: [x([2, 3]), ints(5), ints(9), ints(1)] },
  { op: 'Slice', inputs: [x([5, 4]), whole([1], 2), ints(3), ints(1)] },
  { op: 'Slice', opset: 9, inputs: [x([2, 4])], attributes: { starts: [1], ends: [3], axes: [1] } },
  { op: 'Slice', opset: 9, inputs: [x([4, 2])], attributes: { starts: [-2], ends: [100] } },
  { op: 'Pad', inputs: [x([2, 3]), ints(1, 0, 0, 2)] },
  { op: 'Pad', inputs: [x([5, 7]), ints(1, 2, 0, 1)] },
  { op: 'Pad', inputs: [x([5, 4]), ints(0, -1, 0, 2)] },
  { op: 'Pad', inputs: [x([5, 4]), ints(0, 1, 0, -2), number(3)] },
  { op: 'Pad', inputs: [x([2, 5, 3]), ints(1, 2), absent, ints(-1)] },
  { op: 'Pad', opset: 10, inputs: [x([2, 3])], attributes: { pads: [1, 0, 0, 2] } },
  { op: 'Expand', inputs: [x([3, 1]), ints(2, 3, 4)] },
  { op: 'Expand', inputs: [x([5, 1]), ints(1, 4)] },
  { op: 'Expand', inputs: [x([]), ints(2, 2)] },
  { op: 'Expand', inputs: [x([2, 5, 7, 1]), ints(3)] },
  { op: 'Unsqueeze', inputs: [x([5, 3]), ints(0)] },
  { op: 'Unsqueeze', inputs: [x([5, 7]), ints(1, -1)] },
  { op: 'Unsqueeze', inputs: [x([]), ints(0)] },
  { op: 'Unsqueeze', opset: 11, inputs: [x([2, 3])], attributes: { axes: [1] } },
  { op: 'Squeeze', inputs: [x([5, 1, 3]), ints(1)] },
  { op: 'Squeeze', inputs: [x([1, 5, 7, 1]), ints(-1, 0)] },
  { op: 'Squeeze', inputs: [x([1, 3, 1])] },
  { op: 'Squeeze', opset: 11, inputs: [x([2, 1, 3])], attributes: { axes: [1] } },
  { op: 'Tile', inputs: [x([2, 3]), ints(2, 1)] },
  { op: 'Tile', inputs: [x([5, 7, 2]), ints(1, 3, 2)] },
  { op: 'Tile', inputs: [x([5, 7]), ints(2, 2)] },
  { op: 'Trilu', inputs: [x([3, 4])] },
  { op: 'Trilu', inputs: [x([5, 7, 7]), int(1)], attributes: { upper: 0 } },
  { op: 'Trilu', inputs: [x([2, 3, 3]), int(-1)], attributes: { upper: 1 } },

  ...['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual'].flatMap((op) => binary(op, distinct)),
  ...['And', 'Or', 'Xor'].flatMap((op) => binary(op, bool)),
  ...unary('Not', bool),
  ...unary('IsNaN', given),
  ...['Floor', 'Ceil', 'Round', 'Sign'].flatMap((op) => unary(op, given)),
  { op: 'Mod', inputs: [index([5, 3], 9), ints(4)] },
  { op: 'Shape', inputs: [given([5, 7, 3])] },
  { op: 'Shape', inputs: [given([5, 7, 3])], attributes: { start: 1 } },
  { op: 'Shape', inputs: [given([5, 7, 3])], attributes: { start: -3, end: -1 } },
  { op: 'Size', inputs: [given([5, 7, 3])] },
  { op: 'Range', inputs: [int(1), int(9), int(3)] },
  { op: 'Range', inputs: [int(0), whole([], 6), int(1)] },
  { op: 'ConstantOfShape', inputs: [ints(2, 3)] },
  { op: 'ConstantOfShape', inputs: [whole([2], 4)] },
  { op: 'Constant', inputs: [], attributes: { value_ints: [1, 2, 3] } },
  { op: 'Constant', inputs: [], attributes: { value_float: 2.5 } },
  { op: 'OneHot', ...noFloat64, inputs: [index([5, 2], 4), int(4), given([2])] },
  { op: 'OneHot', ...noFloat64, inputs: [index([5, 2], 4), int(4), given([2])], attributes: { axis: 1 } },
  ...['ArgMax', 'ArgMin'].flatMap((op): Spec[] => [
    { op, inputs: [distinct([5, 3])] },
    { op, inputs: [distinct([5, 7, 3])], attributes: { axis: -1, keepdims: 0 } },
  ]),
];
