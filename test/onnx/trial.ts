import { Builder, type Dim, type DType, differentiate, type Graph, isFloat, type Value } from '@kelpie/onnx';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { evaluate, type NdArray, ndarray, size } from './evaluate.js';
import type { Input, Spec } from './specs.js';

/** Sizes that are also tried as symbols. */
export const symbols: Readonly<Record<string, number>> = { rows: 5, tokens: 7 };

export type Float = 'float32' | 'float64';

/** A spec as graphs: forward, and with the gradients of every wanted input. */
export interface Trial {
  readonly graph: Graph;
  /** Undefined where nothing is differentiable. */
  readonly joint: Graph | undefined;
  readonly wanted: readonly string[];
  /** Outputs that carry a cotangent. */
  readonly through: readonly string[];
}

export interface TrialOptions {
  readonly dtype: Float;
  readonly symbolic?: boolean;
  /** Emits the operator twice over the same inputs. */
  readonly twice?: boolean;
  /** Only these gradients. */
  readonly only?: readonly string[];
}

export function trial(spec: Spec, { dtype, symbolic = false, twice = false, only }: TrialOptions): Trial {
  const g = new Builder({ dtype, name: spec.op });
  const size = (dim: number): Dim =>
    symbolic ? (Object.entries(symbols).find(([, n]) => n === dim)?.[0] ?? dim) : dim;
  const inputs: (Value | undefined)[] = [];
  for (const [i, input] of spec.inputs.entries()) inputs.push(place(g, `x${i}`, input, inputs, size, dtype));
  const emit = () =>
    g.emit(spec.op, inputs, spec.attributes ?? {}, { domain: spec.domain ?? '', outputs: spec.outputs ?? 1 });
  const outputs = (twice ? [emit(), emit()] : [emit()]).flatMap((made, copy) =>
    made.map((y, i) => g.output(`y${i}${copy === 1 ? '+' : ''}`, y)),
  );
  const graph = g.build();
  const through = outputs
    .filter((y, i) => isFloat(y.dtype) && (spec.through?.includes(i % (spec.outputs ?? 1)) ?? true))
    .map((y) => y.name);
  const wanted = spec.inputs.flatMap((input, i) =>
    isWanted(input) && (only?.includes(`x${i}`) ?? true) ? [`x${i}`] : [],
  );
  const joint =
    wanted.length > 0 && through.length > 0 ? differentiate(graph, { outputs: through, wanted }).graph : undefined;
  return { graph, joint, wanted, through };
}

/** Attributes and inputs in one line: the name under which the spec is tested. */
export function nameOf({ op, opset, attributes = {}, inputs, outputs, through }: Spec): string {
  const shown = Object.entries(attributes).map(
    ([key, value]) => `${key}=${typeof value === 'object' && 'value' in value ? value.value : value}`,
  );
  const shapes = inputs.map((input) => {
    if (input.kind === 'absent') return '-';
    if (input.kind === 'again') return `x${input.input}`;
    return input.kind === 'constant'
      ? `{${input.values}}`
      : `${input.kind === 'float' ? '' : input.kind}[${input.shape}]`;
  });
  const more = [opset && `opset ${opset}`, outputs && `${outputs} outputs`, through && `through ${through}`].filter(
    Boolean,
  );
  return [op, shapes.join(' '), ...shown, ...more].filter((part) => part !== '').join(' ');
}

export function isWanted(input: Input): boolean {
  return input.kind === 'distinct' || (input.kind === 'float' && input.wanted);
}

function place(
  g: Builder,
  name: string,
  input: Input,
  before: readonly (Value | undefined)[],
  size: (dim: number) => Dim,
  dtype: Float,
): Value | undefined {
  switch (input.kind) {
    case 'absent':
      return undefined;
    case 'again':
      return before[input.input];
    case 'constant':
      return g.constant(input.dtype === 'float' ? dtype : input.dtype, input.shape, input.values);
    case 'index':
      return g.input(name, 'int64', input.shape.map(size));
    case 'bool':
      return g.input(name, 'bool', input.shape.map(size));
    default:
      return g.input(name, dtype, input.shape.map(size));
  }
}

// --- numbers -----------------------------------------------------------------------------------------------------

export type Random = () => number;

/** Numbers in [0, 1), the same for the same seed and name (mulberry32). */
export function random(seed: number, name: string): Random {
  let state = seed;
  for (const char of name) state = Math.imul(state ^ char.charCodeAt(0), 0x01000193);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Inputs as a spec asks for them; in float32 rounded to it, so that both sides start from the same numbers. */
export function feedsOf(spec: Spec, dtype: Float, next: Random): Record<string, NdArray> {
  const feeds: Record<string, NdArray> = {};
  const round = (value: number) => (dtype === 'float32' ? Math.fround(value) : value);
  const slots = shuffled(
    spec.inputs.reduce((n, input) => n + (input.kind === 'distinct' ? size(input.shape) : 0), 0),
    next,
  );
  for (const [i, input] of spec.inputs.entries()) {
    if (input.kind === 'absent' || input.kind === 'again' || input.kind === 'constant') continue;
    const length = size(input.shape);
    const fill = (dtypeOf: DType, f: (at: number) => number) => {
      feeds[`x${i}`] = ndarray(
        dtypeOf,
        input.shape,
        Float64Array.from({ length }, (_, at) => f(at)),
      );
    };
    if (input.kind === 'float') fill(dtype, () => round(input.low + (input.high - input.low) * next()));
    else if (input.kind === 'bool') fill('bool', () => Number(next() < 0.5));
    else if (input.kind === 'distinct') {
      // Steps of 0.1 around zero, a twentieth off it: far enough apart that a finite difference swaps no two.
      fill(dtype, () => round(0.1 * (slots.pop()! + 1) - 0.05 + 0.02 * next()) * (next() < 0.5 ? -1 : 1));
    } else if (input.unique) {
      const width = length / (input.shape[0] ?? 1);
      const columns = Array.from({ length: width }, () => shuffled(input.below, next));
      fill('int64', (at) => columns[at % width]![Math.floor(at / width)]!);
    } else fill('int64', () => Math.floor(next() * input.below) - (input.negative && next() < 0.3 ? input.below : 0));
  }
  return feeds;
}

function shuffled(count: number, next: Random): number[] {
  const out = [...Array(count).keys()];
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}

/** Numbers between -1 and 1 that float32 holds exactly. */
export function randomLike(x: NdArray, next: Random): NdArray {
  return { ...x, data: x.data.map(() => Math.fround(2 * next() - 1)) };
}

export function basis(x: NdArray, at: number): NdArray {
  return ndarray(
    x.dtype,
    x.shape,
    x.data.map((_, i) => (i === at ? 1 : 0)),
  );
}

export function dot(a: NdArray, b: NdArray): number {
  return a.data.reduce((sum, value, i) => sum + value * b.data[i]!, 0);
}

/**
 * Derivative of the outputs along a direction, by the five-point central difference: error h⁴, here about 1e-12.
 */
export function slope(
  graph: Graph,
  feeds: Readonly<Record<string, NdArray>>,
  direction: Readonly<Record<string, NdArray>>,
  outputs: readonly string[],
): NdArray[] {
  const h = 1e-3;
  const at = (t: number) => {
    const moved = { ...feeds };
    for (const [name, v] of Object.entries(direction)) {
      moved[name] = { ...feeds[name]!, data: feeds[name]!.data.map((value, i) => value + t * v.data[i]!) };
    }
    const values = evaluate(graph, moved);
    return outputs.map((name) => values.get(name)!);
  };
  const [a, b, c, d] = [at(-2 * h), at(-h), at(h), at(2 * h)] as const;
  return outputs.map((_, k) => ({
    ...a[k]!,
    data: a[k]!.data.map((first, i) => (first - 8 * b[k]!.data[i]! + 8 * c[k]!.data[i]! - d[k]!.data[i]!) / (12 * h)),
  }));
}

/** Largest difference, relative to the largest number of what was expected. */
export function distance(actual: NdArray, expected: NdArray): number {
  if (actual.shape.join() !== expected.shape.join()) return Number.POSITIVE_INFINITY;
  const scale = expected.data.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
  return actual.data.reduce((most, value, i) => {
    const off =
      Object.is(value, expected.data[i]) || value === expected.data[i]
        ? 0
        : Math.abs(value - expected.data[i]!) / scale;
    return Number.isNaN(off) ? Number.POSITIVE_INFINITY : Math.max(most, off);
  }, 0);
}

// --- shapes ------------------------------------------------------------------------------------------------------

/**
 * Checks the inferred type of every value against the real one. A name that is no known size takes the size it meets
 * first, and must meet it again everywhere.
 */
export function wrongTypes(graph: Graph, values: ReadonlyMap<string, NdArray>): string[] {
  const known = new Map<string, number>(Object.entries(symbols));
  const wrong: string[] = [];
  for (const [name, { dtype, shape }] of graph.values) {
    const real = values.get(name);
    if (real === undefined) continue;
    const fits = shape.length === real.shape.length && shape.every((dim, i) => matches(dim, real.shape[i]!, known));
    if (!fits || dtype !== real.dtype) {
      wrong.push(`${name}: inferred ${dtype}[${shape.join(', ')}], is ${real.dtype}[${real.shape.join(', ')}]`);
    }
  }
  return wrong;
}

function matches(dim: Dim, real: number, known: Map<string, number>): boolean {
  if (typeof dim === 'number') return dim === real;
  let rest = 1;
  const open: string[] = [];
  for (const part of dim.split('*')) {
    const value = /^\d+$/.test(part) ? Number(part) : known.get(part);
    if (value === undefined) open.push(part);
    else rest *= value;
  }
  if (open.length === 0) return rest === real;
  if (open.length === 1 && real % rest === 0) known.set(open[0]!, real / rest);
  return true;
}

// --- ONNX Runtime ------------------------------------------------------------------------------------------------

const arrays: Partial<Record<DType, (data: Float64Array) => Tensor.DataType>> = {
  float32: (data) => Float32Array.from(data),
  float64: (data) => data.slice(),
  int64: (data) => BigInt64Array.from(data, BigInt),
  int32: (data) => Int32Array.from(data),
  bool: (data) => Uint8Array.from(data),
};

export async function run(
  model: Uint8Array,
  feeds: Readonly<Record<string, NdArray>>,
): Promise<Record<string, NdArray>> {
  const session = await InferenceSession.create(model, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  try {
    const given = session.inputNames.map((name) => {
      const { dtype, shape, data } = feeds[name]!;
      return [name, new Tensor(dtype as 'float32', arrays[dtype]!(data) as Float32Array, shape)] as const;
    });
    const made = await session.run(Object.fromEntries(given));
    return Object.fromEntries(
      Object.entries(made).map(([name, { type, dims, data }]) => [
        name,
        ndarray(type as DType, dims, Float64Array.from(data as ArrayLike<number | bigint>, Number)),
      ]),
    );
  } finally {
    await session.release();
  }
}
