import {
  cut,
  differentiate,
  fuse,
  type Graph,
  type Halves,
  inLastTurn,
  type Joint,
  sizeOf as sizeOfDim,
  type Value,
  withoutAccumulators,
} from '@kelpie/onnx';
import type { Model } from './architecture.js';
import { BufferPool } from './buffer-pool.js';
import type { KeysAndValues } from './decode/cache.js';
import type { StepFeeds } from './decode/step-feeds.js';
import { declareTurns, inTurns } from './decode/turns.js';
import { normGraph } from './dora.js';
import { accumulators, feedsOf } from './feeds.js';
import { type HeadOptions, HeadPasses } from './head-passes.js';
import type { Layout } from './layout.js';
import { type Lookup, type Mode, ModelBuilder, type Products } from './model-builder.js';
import type { FloatArray, LoraModule, Weights } from './parameters.js';
import { RowFeeds } from './row-feeds.js';
import { readsBans, scoreOf, scoreVjpGraph } from './score.js';
import { floats, floatTensor, type Session, Sessions, Tensor } from './sessions.js';
import { TurnedWeights } from './turned.js';
import type { ScoreName } from './types.js';
import { type Arithmetic, allocate } from './weights.js';

/** Weights to compute with, and whether the adapter is part of the graph. */
export interface Variant {
  readonly weights: Weights;
  readonly adapter: boolean;
}

/** Body forward of a batch: hidden states at the scored sources, and what a backward pass will read. */
export interface Forward {
  readonly layout: Layout;
  /** [scored, hidden] */
  readonly hidden: FloatArray;
  readonly saved: ReadonlyMap<string, Tensor>;
  /** Gives the memory of `saved` back. Nothing may read it then. */
  release(): void;
}

/** What a decoding step is about, beside the weights. */
export interface DecodingStep {
  readonly products: Products;
  /** Whether the steps keep their memory (see `Sessions.get`). */
  readonly arena: boolean;
  /** Of all the steps of a call, whose weights do not change. */
  readonly feeds: StepFeeds;
  /** The weights that turned copies are kept with. */
  readonly owner: Weights;
  /** [rows]: the newest token of each, which the cache does not hold yet. */
  readonly ids: readonly number[];
  /** [rows]: tokens that the cache holds, which is the newest one's position. */
  readonly lengths: readonly number[];
  /** [rows]: rows of the rotary tables. */
  readonly angles: readonly number[];
  /** The lengths whose angle classes the tables hold, in order; each takes `angleRows` rows. */
  readonly angleLengths: readonly number[];
  readonly angleRows: number;
  readonly capacity: number;
  /** Per layer [rows, kvHeads, capacity, headDim]. */
  readonly cache: readonly KeysAndValues[];
}

/** What a decoding step does with its hidden states [rows, hidden]. */
export interface StepChoice {
  /** The graph is named by it. */
  readonly kind: string;
  build(m: ModelBuilder, hidden: Value): void;
  readonly feeds: Iterable<readonly [string, Tensor]>;
}

export interface PassesOptions {
  readonly model: Model;
  readonly dtype: Arithmetic;
  readonly lora: readonly LoraModule[];
  /** Names of the tensors that are trained. */
  readonly trained: readonly string[];
  readonly threads: number;
  /**
   * Most logits that one run of a head computes, and apart from those most that are kept for gradients, of all passes that
   * wait together. Default 2^25: 128 MiB in float32.
   */
  readonly logitsAtOnce?: number;
  /** What a forward pass hands to its backward pass (see `cut`). Default `products`. */
  readonly keep?: 'products' | 'nothing';
}

/**
 * Of a run that keeps its memory: 16 MiB in float32 of logits, or, forward and back, of four numbers a layer and hidden unit. Some
 * eight tensors of the size are alive together, and the first touch of fresh pages costs more than the writing.
 */
export const ARENA_NUMBERS = 2 ** 22;

/** Every ONNX pass over a model's body: forward and backward, prefill and decoding steps; and through its heads at once. */
export class Passes {
  readonly sessions: Sessions;
  readonly heads: HeadPasses;
  /** What decoding steps read so; to be forgotten when weights change. */
  readonly turned: TurnedWeights;
  readonly #options: PassesOptions;
  readonly #width: number;
  #differentiated: (Joint & { readonly lookups: readonly Lookup[] }) | undefined;
  #halves: Halves | undefined;
  readonly #buffers: BufferPool;
  readonly #rows: RowFeeds;

  constructor(options: PassesOptions) {
    this.#options = options;
    this.sessions = new Sessions({ threads: options.threads, verbatim: options.dtype === 'float64' });
    this.heads = new HeadPasses(options, this.sessions);
    this.turned = new TurnedWeights(options.dtype);
    this.#width = options.model.dimensions.hiddenSize;
    this.#buffers = new BufferPool(options.dtype);
    this.#rows = new RowFeeds(options.model.rotary, options.dtype);
  }

  get dtype(): Arithmetic {
    return this.#options.dtype;
  }

  // --- bodies ------------------------------------------------------------------------------------------------------

  /** Hidden states of the scored sources. With `keep`, what the backward pass reads is kept. */
  async forward(layout: Layout, variant: Variant, { keep = false } = {}): Promise<Forward> {
    const session = keep
      ? await this.sessions.get('body/forward', () => this.#cut().forward)
      : await this.sessions.get(
          `body/score/${variant.adapter}`,
          () => this.#body({ kind: 'sequence', present: false }, variant.adapter).graph,
        );
    const kept = keep ? this.#memoryOf(session, layout) : new Map<string, Tensor>();
    const outputs = await session.run(feedsOf(session, variant.weights, this.#rows.of(layout)), kept);
    const { hidden, ...others } = outputs;
    const saved = new Map([...Object.entries(others), ...kept]);
    const release = () => {
      for (const [name, tensor] of kept) this.#buffers.give(name, floats(tensor));
      kept.clear();
    };
    return { layout, hidden: this.#gather(floats(hidden!), layout), saved, release };
  }

  /** Memory for what a forward pass keeps, where its size follows from that of the rows. */
  #memoryOf({ graph }: Session, { rows, tokens }: Layout): Map<string, Tensor> {
    const memory = new Map<string, Tensor>();
    for (const { name, dtype, shape } of graph.outputs) {
      const sizes = shape.map((dim) => sizeOfDim(dim, { rows, tokens }));
      if (name === 'hidden' || dtype !== this.#options.dtype || sizes.includes(undefined)) continue;
      const length = sizes.reduce<number>((product, size) => product * size!, 1);
      memory.set(name, floatTensor(this.#buffers.take(name, length), sizes as number[]));
    }
    return memory;
  }

  /** Adds to `gradients` what the cotangents of the scored sources' hidden states [scored, hidden] give. */
  async backward({ layout, saved }: Forward, weights: Weights, dHidden: FloatArray, gradients: Weights): Promise<void> {
    const session = await this.sessions.get('body/backward', () => this.#cut().backward);
    const scattered = this.#scatter(dHidden, layout);
    const feeds = this.#rows.of(layout);
    feeds.set('d/hidden', floatTensor(scattered, [layout.rows, layout.tokens, this.#width]));
    for (const [name, tensor] of saved) feeds.set(name, tensor);
    const { given, fetches } = accumulators(session, gradients);
    this.#addLookups(await session.run(feedsOf(session, weights, [...feeds, ...given]), fetches), layout, gradients);
  }

  /** Gradients of looked-up rows, which leave a graph as they are, to their tables. */
  #addLookups(outputs: Readonly<Record<string, Tensor>>, layout: Layout, gradients: Weights): void {
    for (const { parameter, output, indices } of this.#joint().lookups) {
      const table = gradients.get(parameter);
      const rows = outputs[`grad/${output}`];
      if (table !== undefined && rows !== undefined) {
        addRows(table.data, floats(rows), indices === 'ids' ? layout.ids : layout.positions, this.#width);
      }
    }
  }

  /**
   * Forward, head and backward in one run, where the cotangents are known beforehand: nothing is handed over or computed
   * again. Gradients are added to `gradients`, which hold zeros if they are `fresh`; returns the values of `valued` scores,
   * which are not finite where a token is banned and the cotangents' scores do not mind (see `readsBans`).
   */
  async pull(
    layout: Layout,
    cotangents: ReadonlyMap<ScoreName, Float64Array>,
    weights: Weights,
    gradients: Weights,
    {
      temperature,
      reference,
      valued = [],
      fresh = false,
      arena = false,
    }: Omit<HeadOptions, 'kept'> & {
      readonly valued?: readonly ScoreName[];
      readonly fresh?: boolean;
      /** Keeps the run's memory for the next (see `Sessions.get`). */
      readonly arena?: boolean;
    },
  ): Promise<Map<ScoreName, Float64Array>> {
    const scores = [...cotangents.keys()];
    const tempered = temperature !== 1;
    const { model, dtype } = this.#options;
    const build = () => {
      const wanted = this.heads.trainedOf(scores);
      const bans = readsBans(scores);
      const head = scoreVjpGraph({ model, dtype, scores, wanted, valued, tempered, bans, placed: true });
      const whole = fuse(this.#joint(), head);
      return fresh ? withoutAccumulators(whole) : whole;
    };
    const name = `pull/${scores.join()}/${valued.join()}/${tempered}/${fresh}/${arena}`;
    const session = await this.sessions.get(name, build, { arena });
    const whole = { from: 0, to: layout.sources.length };
    const read = [...scores, ...valued].some((name) => scoreOf(name).needsReference) ? reference : undefined;
    const feeds = new Map([...this.#rows.of(layout), ...this.heads.feeds(layout, whole, temperature, read?.hidden)]);
    this.heads.feedCotangents(feeds, cotangents, whole, temperature);
    feeds.set('sources', new Tensor('int64', BigInt64Array.from(layout.sources, BigInt), [layout.sources.length]));
    feeds.set('places', new Tensor('int64', placesOf(layout), [layout.rows, layout.tokens]));
    const { given, fetches } = accumulators(session, gradients);
    const outputs = await session.run(feedsOf(session, weights, [...feeds, ...given], read?.weights), fetches);
    this.#addLookups(outputs, layout, gradients);
    return new Map(valued.map((name) => [name, Float64Array.from(floats(outputs[name]!))]));
  }

  /** Whether a batch can be pulled in one run: it has logits, all fit at once, and each source has one target. */
  pullsAtOnce({ sources }: Layout): boolean {
    const { keep = 'products' } = this.#options;
    const fits = sources.length > 0 && sources.length <= this.heads.rowsAtOnce;
    return keep === 'products' && fits && new Set(sources).size === sources.length;
  }

  /** Tokens of a batch that is pulled in one run and so small that the run's memory is kept for the next, at most. */
  get tokensAtOnce(): number {
    const { model, keep = 'products' } = this.#options;
    if (keep === 'nothing') return 0;
    const { vocabularySize, hiddenSize, layers } = model.dimensions;
    return Math.floor(ARENA_NUMBERS / Math.max(vocabularySize, 4 * hiddenSize * layers));
  }

  #cut(): Halves {
    this.#halves ??= cut(this.#joint(), ['hidden'], this.#options.keep);
    return this.#halves;
  }

  #joint(): Joint & { readonly lookups: readonly Lookup[] } {
    if (this.#differentiated !== undefined) return this.#differentiated;
    const { graph, lookups } = this.#body({ kind: 'sequence', present: false }, true);
    const tables = new Set(lookups.map(({ parameter }) => parameter));
    const present = new Set(graph.inputs.map(({ name }) => name));
    const inputs = this.#options.trained.filter((name) => present.has(name) && !tables.has(name));
    const looked = lookups.filter(({ parameter }) => this.#options.trained.includes(parameter));
    const joint = differentiate(graph, {
      outputs: ['hidden'],
      wanted: [...inputs, ...new Set(looked.map(({ output }) => output))],
      accumulate: inputs,
    });
    this.#differentiated = { ...joint, lookups: looked };
    return this.#differentiated;
  }

  #body(mode: Mode, adapter: boolean): { graph: Graph; lookups: readonly Lookup[] } {
    const m = this.#builder(mode, adapter, 'body');
    m.g.output('hidden', this.#options.model.body(m));
    return { graph: m.g.build(), lookups: m.lookups };
  }

  #builder(mode: Mode, adapter: boolean, name: string): ModelBuilder {
    const { model, dtype, lora } = this.#options;
    return new ModelBuilder({ parameters: model.parameters, mode, dtype, lora: adapter ? lora : [], name });
  }

  /** Brings the norms of DoRA's modules, which stand among the weights, up to date with them. */
  async updateNorms(weights: Weights): Promise<void> {
    const { model, dtype, lora } = this.#options;
    if (!lora.some(({ dora }) => dora)) return;
    const session = await this.sessions.get('dora/norms', () => normGraph({ model, lora, dtype }));
    const outputs = await session.run(feedsOf(session, weights, []));
    for (const [name, tensor] of Object.entries(outputs)) {
      weights.set(name, { shape: tensor.dims, data: floats(tensor) });
    }
  }

  // --- decoding ----------------------------------------------------------------------------------------------------

  /**
   * Whole rows: hidden states of the sources [scored, hidden], and every layer's keys and values [rows, kvHeads, tokens,
   * headDim].
   */
  async prefill(
    layout: Layout,
    { weights, adapter }: Variant,
  ): Promise<{ hidden: FloatArray; present: readonly KeysAndValues[] }> {
    const session = await this.sessions.get(
      `prefill/${adapter}`,
      () => this.#body({ kind: 'sequence', present: true }, adapter).graph,
    );
    const outputs = await session.run(feedsOf(session, weights, this.#rows.of(layout)));
    return { hidden: this.#gather(floats(outputs.hidden!), layout), present: this.#present(outputs, 'present') };
  }

  /** Logits of hidden states [scored, vocabulary]. */
  async logits({ layout, hidden }: Forward, weights: Weights): Promise<FloatArray> {
    const session = await this.sessions.get('head/logits', () => {
      const m = this.#builder({ kind: 'sequence', present: false }, false, 'logits');
      m.g.output('logits', this.#options.model.head(m, m.g.input('hidden', m.g.dtype, ['scored', this.#width])));
      return m.g.build();
    });
    const feeds = [['hidden', floatTensor(hidden, [layout.sources.length, this.#width])]] as const;
    const { logits } = await session.run(feedsOf(session, weights, feeds));
    return floats(logits!);
  }

  /**
   * One token a row over the cache: hidden states [rows, hidden] and each layer's new keys and values [rows, kvHeads, 1,
   * headDim]. What is chosen by the hidden states is chosen in the same run: two sessions' threads would wait in each
   * other's way.
   */
  async step(
    variant: Variant,
    step: DecodingStep,
    choice?: StepChoice,
  ): Promise<{ hidden: FloatArray; present: readonly KeysAndValues[]; outputs: Readonly<Record<string, Tensor>> }> {
    const outputs = await this.#stepOf('step', variant, step, choice, () => {
      const m = this.#stepBuilder(step, variant);
      const hidden = m.g.output('hidden', this.#stepHidden(m));
      choice?.build(m, hidden);
      return m.g.build();
    });
    return { hidden: floats(outputs.hidden!), present: this.#present(outputs, 'grown'), outputs };
  }

  /**
   * Steps with their choices, as many in one run as `turns`: for each layer the keys and values of all [rows, kvHeads, turns,
   * headDim], and of each choice all that was chosen [turns, rows, 1].
   */
  async steps(
    variant: Variant,
    step: DecodingStep,
    choice: StepChoice,
    turns: number,
  ): Promise<{ present: readonly KeysAndValues[]; outputs: Readonly<Record<string, Tensor>> }> {
    const count = ['turns', new Tensor('int64', BigInt64Array.of(BigInt(turns)), [])] as const;
    const counted = { ...choice, feeds: [...choice.feeds, count] };
    const outputs = await this.#stepOf('steps', variant, step, counted, () => {
      const m = this.#stepBuilder(step, variant);
      declareTurns(m);
      choice.build(m, this.#stepHidden(m));
      return inTurns(m.g.build());
    });
    return { present: this.#present(outputs, inLastTurn('grown')), outputs };
  }

  #stepBuilder({ products }: DecodingStep, { adapter }: Variant): ModelBuilder {
    return this.#builder({ kind: 'step', products }, adapter, 'step');
  }

  #stepHidden(m: ModelBuilder): Value {
    return m.g.reshape(this.#options.model.body(m), [m.rows, this.#width]);
  }

  async #stepOf(
    what: string,
    { weights, adapter }: Variant,
    step: DecodingStep,
    choice: StepChoice | undefined,
    build: () => Graph,
  ): Promise<Readonly<Record<string, Tensor>>> {
    const { products, arena, owner } = step;
    const name = `${what}/${adapter}/${products}/${choice?.kind}/${arena}`;
    const session = await this.sessions.get(name, build, { arena, small: true });
    if (products === 'turned') this.turned.addTo(weights, session.inputs, owner);
    const others = [...this.#rows.rotary(step.angleLengths, step.angleRows), ...(choice?.feeds ?? [])];
    return session.run(step.feeds.of(session, weights, step, others));
  }

  #present(outputs: Readonly<Record<string, Tensor>>, prefix: string): KeysAndValues[] {
    return Array.from({ length: this.#options.model.dimensions.layers }, (_, i) => ({
      keys: floats(outputs[`${prefix}/keys/${i}`]!),
      values: floats(outputs[`${prefix}/values/${i}`]!),
    }));
  }

  #gather(hidden: FloatArray, { sources }: Layout): FloatArray {
    const width = this.#width;
    const out = allocate(this.#options.dtype, sources.length * width);
    for (const [i, slot] of sources.entries()) out.set(hidden.subarray(slot * width, (slot + 1) * width), i * width);
    return out;
  }

  #scatter(dHidden: FloatArray, { sources, rows, tokens }: Layout): FloatArray {
    const out = allocate(this.#options.dtype, rows * tokens * this.#width);
    addRows(out, dHidden, sources, this.#width);
    return out;
  }
}

/** [rows, tokens]: which scored position a token is; those that are none come behind the last. */
function placesOf({ sources, rows, tokens }: Layout): BigInt64Array {
  const places = new BigInt64Array(rows * tokens).fill(BigInt(sources.length));
  for (const [i, slot] of sources.entries()) places[slot] = BigInt(i);
  return places;
}

/** table[index[i]] += rows[i], in order: the same sum whatever the threads. */
function addRows(table: FloatArray, rows: FloatArray, index: Int32Array | BigInt64Array, width: number): void {
  for (let i = 0; i < index.length; i++) {
    const to = Number(index[i]) * width;
    const from = i * width;
    for (let j = 0; j < width; j++) table[to + j] = table[to + j]! + rows[from + j]!;
  }
}
