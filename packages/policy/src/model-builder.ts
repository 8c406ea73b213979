import { Builder, type Dim, product, type Value } from '@kelpie/onnx';
import type { Activation } from './files/activations.js';
import type { LoraModule, Parameter } from './parameters.js';
import { stackName } from './stacks.js';
import { turnedName } from './turned.js';

/**
 * How a graph runs over tokens.
 * - `sequence`: whole rows [rows, tokens]; a token sees what its row's tree lets it see. With `present`, every layer's
 *   keys and values leave as outputs (the prefill of a decoder).
 * - `step`: one new token a row [rows, 1] over a cache and what joined it of late, which come in as plain inputs; the latter
 *   and the new token's keys and values leave together.
 */
export type Mode =
  | { readonly kind: 'sequence'; readonly present: boolean }
  | { readonly kind: 'step'; readonly products: Products };

/**
 * How a step takes x Wᵀ. ONNX Runtime repacks the right-hand side of every product of several rows, and the weights are a
 * million times what a row is.
 * - `plain`: as it stands.
 * - `wide`, for many rows: (W xᵀ)ᵀ.
 * - `turned`, for one row: over a copy of W as [in, out], for which there is a kernel that repacks nothing; where W has few
 *   outs that kernel is the slower one, and x Wᵀ is taken as it stands.
 */
export type Products = 'plain' | 'wide' | 'turned';

export interface AttentionOptions {
  /** [rows, tokens, heads * headDim], rotated already. */
  readonly q: Value;
  /** [rows, tokens, kvHeads * headDim], rotated already. */
  readonly k: Value;
  readonly v: Value;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Multiplies the products of queries and keys. */
  readonly scale: number;
}

/** A lookup whose gradient is scattered into the table by the owner of the weights, row by row and in order. */
export interface Lookup {
  readonly parameter: string;
  /** The looked-up value in the graph. */
  readonly output: string;
  readonly indices: 'ids' | 'positions';
}

/** Added to scores of what is not to be seen. */
export const HIDDEN_MASK = -1e30;
/** Sizes of heads whose products in a decoding step are faster one by one than by group. */
const APART_FROM = 32;
/** Outs of matrices that one row is multiplied with faster if they are turned. */
const TURNED_FROM = 2048;

/**
 * The words architectures are written in. Weights are graph inputs: every session over them reads one copy. A LoRA
 * module adds its low-rank path to `linear` wherever it is named.
 */
export class ModelBuilder {
  readonly g: Builder;
  readonly mode: Mode;
  readonly lookups: Lookup[] = [];
  readonly cache: {
    readonly keys: string;
    readonly values: string;
    readonly kvHeads: number;
    readonly headDim: number;
  }[] = [];
  readonly #parameters: ReadonlyMap<string, Parameter>;
  readonly #lora: ReadonlyMap<string, LoraModule>;
  readonly #prefix: string;
  readonly rows: Dim;
  readonly tokens: Dim;
  #bias: Value | undefined;

  constructor({
    parameters,
    mode,
    dtype,
    lora = [],
    name = 'model',
    g = new Builder({ dtype, name }),
    prefix = '',
  }: {
    parameters: readonly Parameter[];
    mode: Mode;
    dtype: 'float32' | 'float64';
    lora?: readonly LoraModule[];
    name?: string;
    g?: Builder;
    prefix?: string;
  }) {
    this.g = g;
    this.#prefix = prefix;
    this.mode = mode;
    this.rows = mode.kind === 'step' && mode.products === 'turned' ? 1 : 'rows';
    this.tokens = mode.kind === 'step' ? 1 : 'tokens';
    this.#parameters = new Map(parameters.map((p) => [p.name, p]));
    this.#lora = new Map(lora.map((l) => [l.module, l]));
  }

  /** The same graph over other weights, whose names carry a prefix, without adapters. */
  prefixed(prefix: string): ModelBuilder {
    return new ModelBuilder({
      parameters: [...this.#parameters.values()],
      mode: this.mode,
      dtype: this.g.dtype,
      g: this.g,
      prefix,
    });
  }

  /** A weight, as an input of the graph. */
  parameter(name: string): Value {
    return this.#input(name, this.#shapeOf(name));
  }

  #input(name: string, shape: readonly number[]): Value {
    const full = this.#prefix + name;
    return this.g.has(full) ? this.g.value(full) : this.g.input(full, this.g.dtype, shape);
  }

  #shapeOf(name: string): readonly number[] {
    const parameter = this.#parameters.get(name);
    if (parameter !== undefined) return parameter.shape;
    throw new RangeError(`the architecture uses \`${name}\`, which its list of parameters lacks`);
  }

  hasParameter(name: string): boolean {
    return this.#parameters.has(name);
  }

  /** ids or positions, int64 [rows, tokens]. */
  index(which: 'ids' | 'positions'): Value {
    return this.#integers(which, 'int64', [this.rows, this.tokens]);
  }

  #integers(name: string, dtype: 'int64' | 'int32', shape: readonly Dim[]): Value {
    return this.g.has(name) ? this.g.value(name) : this.g.input(name, dtype, shape);
  }

  /** Rows of a table: [rows, tokens, width]. */
  lookup(table: string, indices: 'ids' | 'positions'): Value {
    const value = this.g.gather(this.parameter(table), this.index(indices));
    this.lookups.push({ parameter: table, output: value.name, indices });
    return value;
  }

  /** y = x Wᵀ + b for W [out, in]; with `transposed`, W is [in, out] and y = x W + b. A bias is used where one is listed. */
  linear(x: Value, module: string, { transposed = false }: { transposed?: boolean } = {}): Value {
    const { g } = this;
    const weight = `${module}.weight`;
    const y = transposed ? g.matmul(x, this.parameter(weight)) : this.#times(x, weight);
    const lora = this.#lora.get(module);
    if (lora === undefined) return this.#biased(y, module);
    const outFeatures = y.shape.at(-1)!;
    const update = this.#lowRank(x, module, lora, x.shape.at(-1)!, outFeatures);
    return lora.dora
      ? this.#biased(this.#rescaled(g.add(y, update), module, outFeatures), module)
      : g.add(this.#biased(y, module), update);
  }

  #biased(y: Value, module: string): Value {
    return this.hasParameter(`${module}.bias`) ? this.g.add(y, this.parameter(`${module}.bias`)) : y;
  }

  /** `linear` of each module over one input. A decoding step takes their weights as one, where no adapter stands between. */
  linears(x: Value, modules: readonly string[]): Value[] {
    const { g } = this;
    if (!this.#stackable(modules)) return modules.map((module) => this.linear(x, module));
    const { name, shape } = this.#stack(modules);
    const y = this.#times(x, name, shape);
    return g.split(y, this.#outFeatures(modules), y.shape.length - 1).map((part, i) => this.#biased(part, modules[i]!));
  }

  #stackable(modules: readonly string[]): boolean {
    return this.mode.kind === 'step' && !modules.some((module) => this.#lora.has(module));
  }

  #outFeatures(modules: readonly string[]): number[] {
    return modules.map((module) => this.#shapeOf(`${module}.weight`)[0]!);
  }

  /** Weights [sum of outs, in] of modules, as one matrix. */
  #stack(modules: readonly string[]): { readonly name: string; readonly shape: readonly number[] } {
    const names = modules.map((module) => `${module}.weight`);
    const outs = this.#outFeatures(modules).reduce((a, b) => a + b, 0);
    return { name: stackName(names), shape: [outs, this.#shapeOf(names[0]!)[1]!] };
  }

  /** DoRA: each output times magnitude / norm of its row of W + scaling B A; the norms come in, without a gradient. */
  #rescaled(y: Value, module: string, outFeatures: Dim): Value {
    const { g } = this;
    const magnitude = g.input(loraMagnitude(module), g.dtype, [outFeatures]);
    return g.mul(y, g.div(magnitude, g.input(loraNorm(module), g.dtype, [outFeatures])));
  }

  /** x Wᵀ for the head's W [out, in]. */
  project(x: Value, weight: string): Value {
    return this.#times(x, weight);
  }

  get #products(): Products {
    return this.mode.kind === 'step' ? this.mode.products : 'plain';
  }

  /** x Wᵀ for W [out, in], in the way that suits the number of rows (see `Products`). */
  #times(x: Value, weight: string, shape = this.#shapeOf(weight)): Value {
    const { g } = this;
    if (this.#products === 'turned' && shape[0]! >= TURNED_FROM)
      return g.matmul(x, this.#input(turnedName(weight), shape.toReversed()));
    const w = this.#input(weight, shape);
    if (this.#products !== 'wide') return g.matmul(x, w, { transB: true });
    const y = g.transpose(g.matmul(w, g.flatten2d(x), { transB: true }), [1, 0]);
    return g.reshape(y, [...x.shape.slice(0, -1), shape[0]!]);
  }

  /**
   * down(activation(gate(x)) * up(x)). Many rows (see `Products`) stay [features, rows] between the products, where nothing
   * is added to these.
   */
  gatedMlp(x: Value, modules: { gate: string; up: string; down: string }, activation: Activation): Value {
    const { g } = this;
    const { gate, up, down } = modules;
    const gateAndUp = [gate, up];
    const all = [...gateAndUp, down];
    const plain = this.#stackable(all) && !all.some((name) => this.hasParameter(`${name}.bias`));
    if (this.#products !== 'wide' || !plain) {
      const [gated, straight] = this.linears(x, gateAndUp);
      return this.linear(g.mul(this.activation(gated!, activation), straight!), down);
    }
    const { name, shape } = this.#stack(gateAndUp);
    const both = g.matmul(this.#input(name, shape), g.flatten2d(x), { transB: true });
    const [gated, straight] = g.split(both, this.#outFeatures(gateAndUp), 0);
    const inner = g.mul(this.activation(gated!, activation), straight!);
    return g.reshape(g.transpose(g.matmul(this.parameter(`${down}.weight`), inner), [1, 0]), x.shape);
  }

  #lowRank(x: Value, module: string, { rank, scaling }: LoraModule, inFeatures: Dim, outFeatures: Dim): Value {
    const { g } = this;
    const a = g.input(loraA(module), g.dtype, [rank, inFeatures]);
    const b = g.input(loraB(module), g.dtype, [outFeatures, rank]);
    return g.matmul(g.matmul(x, a, { transB: true }), b, { transB: true, alpha: scaling });
  }

  /**
   * y = w x / sqrt(mean(x²) + epsilon). One kernel in float32; it keeps its statistics in float32 whatever its input, so
   * float64 graphs spell the norm out.
   */
  rmsNorm(x: Value, name: string, epsilon: number): Value {
    const { g } = this;
    const weight = this.parameter(`${name}.weight`);
    if (g.dtype === 'float64') return g.mul(this.#divideByRms(x, epsilon), weight);
    return g.emit(
      'SimplifiedLayerNormalization',
      [x, weight],
      { axis: -1, epsilon, stash_type: 1 },
      { outputs: 2 },
    )[0]!;
  }

  /** y = w (x - mean(x)) / sqrt(var(x) + epsilon) + b */
  layerNorm(x: Value, name: string, epsilon: number): Value {
    const { g } = this;
    const weight = this.parameter(`${name}.weight`);
    const bias = this.parameter(`${name}.bias`);
    if (g.dtype === 'float64') return g.add(g.mul(this.#divideByRms(g.sub(x, g.mean(x, [-1])), epsilon), weight), bias);
    return g.emit('LayerNormalization', [x, weight, bias], { axis: -1, epsilon, stash_type: 1 }, { outputs: 3 })[0]!;
  }

  #divideByRms(x: Value, epsilon: number): Value {
    const { g } = this;
    return g.div(x, g.sqrt(g.add(g.mean(g.mul(x, x), [-1]), g.scalar(epsilon))));
  }

  /**
   * Rotates the first `rotaryDim` entries of every head, in halves. The tables `rope/cos` and `rope/sin` [angles,
   * rotaryDim / 2] are inputs, and `angles` [rows, tokens] says which of their rows a token takes.
   */
  rotate(
    x: Value,
    { heads, headDim, rotaryDim = headDim }: { heads: number; headDim: number; rotaryDim?: number },
  ): Value {
    const { g } = this;
    const half = rotaryDim / 2;
    const table = (name: string) => (g.has(name) ? g.value(name) : g.input(name, g.dtype, ['angles', half]));
    const angles = this.#integers('angles', 'int64', [this.rows, this.tokens]);
    return g.recomputed(() => {
      if (g.dtype === 'float32' && rotaryDim === headDim) {
        return g.emit(
          'RotaryEmbedding',
          [x, angles, table('rope/cos'), table('rope/sin')],
          { num_heads: heads, interleaved: 0 },
          { domain: 'com.microsoft' },
        )[0]!;
      }
      const wide = g.reshape(x, [this.rows, this.tokens, heads, headDim]);
      const cos = g.unsqueeze(g.gather(table('rope/cos'), angles), [2]);
      const sin = g.unsqueeze(g.gather(table('rope/sin'), angles), [2]);
      const [a, b, rest] = g.split(wide, rotaryDim === headDim ? [half, half] : [half, half, headDim - rotaryDim], 3);
      const turned = [g.sub(g.mul(a!, cos), g.mul(b!, sin)), g.add(g.mul(b!, cos), g.mul(a!, sin))];
      return g.reshape(g.concat(rest === undefined ? turned : [...turned, rest], 3), x.shape);
    });
  }

  /** Softmax attention; [rows, tokens, heads * headDim] out. Query heads of a group ride along as rows. */
  attention(options: AttentionOptions): Value {
    const { g, rows, tokens } = this;
    const { heads, kvHeads, headDim } = options;
    const group = heads / kvHeads;
    const layer = this.cache.length;
    this.cache.push({ keys: `keys/${layer}`, values: `values/${layer}`, kvHeads, headDim });
    if (this.mode.kind === 'step') {
      return g.reshape(this.#attendCache(options, layer), [rows, tokens, heads * headDim]);
    }
    const q = g.reshape(g.transpose(g.reshape(options.q, [rows, tokens, kvHeads, group, headDim]), [0, 2, 3, 1, 4]), [
      rows,
      kvHeads,
      product([group, tokens]),
      headDim,
    ]);
    // The outputs of a prefill by their own names: an Identity would copy them.
    const split = (x: Value, name: string) => {
      const names = this.mode.kind === 'sequence' && this.mode.present ? { names: [`present/${name}/${layer}`] } : {};
      const wide = g.reshape(x, [rows, tokens, kvHeads, headDim]);
      return g.emit('Transpose', [wide], { perm: [0, 2, 1, 3] }, names)[0]!;
    };
    const mixed = this.#attendRow(q, split(options.k, 'keys'), split(options.v, 'values'), options);
    const apart = g.transpose(g.reshape(mixed, [rows, kvHeads, group, tokens, headDim]), [0, 3, 1, 2, 4]);
    return g.reshape(apart, [rows, tokens, heads * headDim]);
  }

  #attendRow(q: Value, k: Value, v: Value, { heads, scale }: AttentionOptions): Value {
    const { g, rows, tokens } = this;
    if (this.mode.kind === 'sequence' && this.mode.present) for (const x of [k, v]) g.output(x.name, x);
    const probabilities = g.recomputed(() => {
      const scores = g.matmul(q, k, { transB: true, alpha: scale });
      // [rows, kvHeads, group * tokens, tokens] is [rows, heads, tokens, tokens] in the same order.
      const square = g.reshape(scores, [rows, heads, tokens, tokens]);
      return g.reshape(g.softmax(g.add(square, this.#visibleBias())), scores.shape);
    });
    return g.matmul(probabilities, v);
  }

  /**
   * What hides tokens from each other, [rows, 1, tokens, tokens]: 0 or a large negative number. `ends[j]` is the row slot
   * behind the last token of j's subtree, so token i sees j exactly when j <= i < ends[j].
   */
  #visibleBias(): Value {
    const { g, rows, tokens } = this;
    if (this.#bias !== undefined) return this.#bias;
    const slot = this.#integers('slots', 'int32', [tokens]);
    const ends = this.#integers('ends', 'int32', [rows, tokens]);
    this.#bias = g.recomputed(() => {
      const query = g.unsqueeze(slot, [1]);
      const before = g.lessOrEqual(g.unsqueeze(slot, [0]), query);
      const within = g.less(query, g.unsqueeze(ends, [1]));
      return g.unsqueeze(g.where(g.and(before, within), g.scalar(0), g.scalar(HIDDEN_MASK)), [1]);
    });
    return this.#bias;
  }

  /**
   * Two parts under one softmax: the cache, which is read where it lies and never copied, and the newest tokens, this one the
   * last. Heads that are not small have products of their own, of one row and not scaled, for which ONNX Runtime has kernels
   * that repack nothing.
   */
  #attendCache({ heads, kvHeads, headDim, scale, ...options }: AttentionOptions, layer: number): Value {
    const { g, rows } = this;
    const cached = (name: string) => g.input(`${name}/${layer}`, g.dtype, [rows, kvHeads, 1, 'cache', headDim]);
    const grown = (x: Value, name: string) => {
      const recent = g.input(`recent/${name}/${layer}`, g.dtype, [rows, kvHeads, 1, 'recent', headDim]);
      const newest = g.reshape(x, [rows, kvHeads, 1, 1, headDim]);
      const all = g.emit('Concat', [recent, newest], { axis: 3 }, { names: [`grown/${name}/${layer}`] })[0]!;
      return g.output(all.name, all);
    };
    const group = heads / kvHeads;
    const q = g.reshape(
      g.scale(options.q, scale),
      headDim < APART_FROM ? [rows, kvHeads, 1, group, headDim] : [rows, kvHeads, group, 1, headDim],
    );
    const [keys, values] = [cached('keys'), cached('values')];
    const [k, v] = [grown(options.k, 'keys'), grown(options.v, 'values')];
    const past = g.add(g.matmul(q, keys, { transB: true }), this.#cacheMask());
    const now = g.matmul(q, k, { transB: true });
    const probabilities = g.softmax(g.concat([past, now], 4));
    const parts = this.#integers('parts', 'int64', [2]);
    const [overPast, overNow] = g.emit('Split', [probabilities, parts], { axis: 4 }, { outputs: 2 });
    return g.add(g.matmul({ ...overPast!, shape: past.shape }, values), g.matmul({ ...overNow!, shape: now.shape }, v));
  }

  /** 0 where the cache holds a token of the row, `HIDDEN_MASK` behind it: [rows, 1, 1, 1, cache]. */
  #cacheMask(): Value {
    const { g, rows } = this;
    return g.has('mask') ? g.value('mask') : g.input('mask', g.dtype, [rows, 1, 1, 1, 'cache']);
  }

  /** An activation of transformers, by its formula. */
  activation(x: Value, name: Activation): Value {
    return ACTIVATIONS[name](this.g, x);
  }
}

export const loraA = (module: string): string => `${module}.lora_A.weight`;
export const loraB = (module: string): string => `${module}.lora_B.weight`;
export const loraMagnitude = (module: string): string => `${module}.lora_magnitude_vector`;
/** Of the rows of W + scaling B A: computed anew after every update, never trained or saved. */
export const loraNorm = (module: string): string => `${module}.lora_norm`;

/** Formulas: files/activations.ts. */
type Formula = (g: Builder, x: Value) => Value;

const silu: Formula = (g, x) =>
  g.dtype === 'float32'
    ? g.emit('QuickGelu', [x], { alpha: 1 }, { domain: 'com.microsoft' })[0]!
    : g.mul(x, g.sigmoid(x));
const phi: Formula = (g, x) => g.scale(g.add(g.erf(g.scale(x, Math.SQRT1_2)), g.scalar(1)), 0.5);
const gelu: Formula = (g, x) =>
  g.dtype === 'float32' ? g.emit('Gelu', [x], { approximate: 'none' })[0]! : g.mul(x, phi(g, x));
const geluTanh: Formula = (g, x) => {
  const inner = g.scale(g.add(x, g.scale(g.mul(g.mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return g.mul(g.scale(x, 0.5), g.add(g.tanh(inner), g.scalar(1)));
};
const clip = (g: Builder, x: Value, low: number, high: number): Value =>
  g.emit('Clip', [x, g.scalar(low), g.scalar(high)])[0]!;
const softplus: Formula = (g, x) => g.emit('Softplus', [x])[0]!;

/** transformers' constants, rounded as they are there. */
const LAPLACE = { mean: 707_107 / 1e6, deviation: 282_095 / 1e6 };

const ACTIVATIONS: Readonly<Record<Activation, Formula>> = {
  silu,
  gelu,
  gelu_tanh: geluTanh,
  gelu_10: (g, x) => clip(g, gelu(g, x), -10, 10),
  quick_gelu: (g, x) => g.mul(x, g.sigmoid(g.scale(x, 1.702))),
  relu: (g, x) => g.relu(x),
  relu2: (g, x) => {
    const r = g.relu(x);
    return g.mul(r, r);
  },
  relu6: (g, x) => clip(g, x, 0, 6),
  leaky_relu: (g, x) => g.emit('LeakyRelu', [x], { alpha: 0.01 })[0]!,
  linear: (_, x) => x,
  tanh: (g, x) => g.tanh(x),
  sigmoid: (g, x) => g.sigmoid(x),
  mish: (g, x) => g.mul(x, g.tanh(softplus(g, x))),
  hardswish: (g, x) => g.scale(g.mul(x, clip(g, g.add(x, g.scalar(3)), 0, 6)), 1 / 6),
  laplace: (g, x) => phi(g, g.scale(g.sub(x, g.scalar(LAPLACE.mean)), 1 / LAPLACE.deviation)),
  sqrtsoftplus: (g, x) => g.sqrt(softplus(g, x)),
};
