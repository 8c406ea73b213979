import {
  cut,
  differentiate,
  fuse,
  type Graph,
  type Halves,
  type Joint,
  sizeOf as sizeOfDim,
  type Value,
  withoutAccumulators,
} from '@kelpie/onnx';
import type { Model } from './architecture.js';
import { BufferPool } from './buffer-pool.js';
import type { KeysAndValues } from './decode/cache.js';
import { normGraph } from './dora.js';
import type { Layout } from './layout.js';
import { type Lookup, type Mode, ModelBuilder } from './model-builder.js';
import type { FloatArray, LoraModule, Weights } from './parameters.js';
import { RowFeeds, slots } from './row-feeds.js';
import { isScalar, REFERENCE, scoreGraph, scoreOf, scoreVjpGraph } from './score.js';
import { floats, floatTensor, type Session, Sessions, Tensor } from './sessions.js';
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
  /** Many rows (see `Mode`). */
  readonly wide: boolean;
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

/** How a head is read. */
export interface HeadOptions {
  /** Divides the logits. */
  readonly temperature: number;
  /** Hidden states [scored, hidden] and weights of the reference, where a score reads it. */
  readonly reference?: { readonly hidden: FloatArray; readonly weights: Weights } | undefined;
}

export interface PassesOptions {
  readonly model: Model;
  readonly dtype: Arithmetic;
  readonly lora: readonly LoraModule[];
  /** Names of the tensors that are trained. */
  readonly trained: readonly string[];
  readonly threads: number;
  /** Most logits that are ever in memory at once: a head of more runs in chunks. Default 2^25: 128 MiB in float32. */
  readonly logitsAtOnce?: number;
  /** What a forward pass hands to its backward pass (see `cut`). Default `products`. */
  readonly keep?: 'products' | 'nothing';
}

const LOGITS_AT_ONCE = 2 ** 25;
/**
 * Of a chunk of a head's own session: 8 MiB in float32, of which several fit into a cache. A tensor of 32 MiB would also
 * get fresh pages from the system each time, whose first touch costs more than what is written to them.
 */
const CHUNK_LOGITS = 2 ** 21;
/** Fewer rows at once read the head's matrix too often. */
const CHUNK_ROWS = 256;

/** Scored tokens, `to` excluded. */
interface Chunk {
  readonly from: number;
  readonly to: number;
}

/** Every ONNX pass over a model: bodies forward and backward, heads, prefill and decoding steps. */
export class Passes {
  readonly sessions: Sessions;
  readonly #options: PassesOptions;
  readonly #width: number;
  #differentiated: (Joint & { readonly lookups: readonly Lookup[] }) | undefined;
  #halves: Halves | undefined;
  readonly #buffers: BufferPool;
  readonly #rows: RowFeeds;

  constructor(options: PassesOptions) {
    this.#options = options;
    this.sessions = new Sessions({ threads: options.threads, verbatim: options.dtype === 'float64' });
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
    const outputs = await session.run(this.feeds(session, variant.weights, this.#rows.of(layout)), kept);
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
    this.#addLookups(await session.run(this.feeds(session, weights, [...feeds, ...given]), fetches), layout, gradients);
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
   * again. Gradients are added to `gradients`, which hold zeros if they are `fresh`; returns the values of `valued` scores.
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
    }: HeadOptions & { readonly valued?: readonly ScoreName[]; readonly fresh?: boolean },
  ): Promise<Map<ScoreName, Float64Array>> {
    const scores = [...cotangents.keys()];
    const tempered = temperature !== 1;
    const session = await this.sessions.get(`pull/${scores.join()}/${valued.join()}/${tempered}/${fresh}`, () => {
      const wanted = this.#headTrained(scores);
      const { model, dtype } = this.#options;
      const head = scoreVjpGraph({ model, dtype, scores, wanted, valued, tempered, placed: true });
      const whole = fuse(this.#joint(), head);
      return fresh ? withoutAccumulators(whole) : whole;
    });
    const whole = { from: 0, to: layout.sources.length };
    const read = [...scores, ...valued].some((name) => scoreOf(name).needsReference) ? reference : undefined;
    const feeds = new Map([...this.#rows.of(layout), ...this.#headFeeds(layout, whole, temperature, read?.hidden)]);
    this.#feedCotangents(feeds, cotangents, whole, temperature);
    feeds.set('sources', new Tensor('int64', BigInt64Array.from(layout.sources, BigInt), [layout.sources.length]));
    feeds.set('places', new Tensor('int64', placesOf(layout), [layout.rows, layout.tokens]));
    const { given, fetches } = accumulators(session, gradients);
    const outputs = await session.run(this.feeds(session, weights, [...feeds, ...given], read?.weights), fetches);
    this.#addLookups(outputs, layout, gradients);
    return new Map(valued.map((name) => [name, Float64Array.from(floats(outputs[name]!))]));
  }

  /** Whether a batch can be pulled in one run: all its logits fit at once, and each source has one target. */
  pullsAtOnce({ sources }: Layout): boolean {
    const { keep = 'products' } = this.#options;
    return keep === 'products' && sources.length <= this.#rowsAtOnce && new Set(sources).size === sources.length;
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
    const outputs = await session.run(this.feeds(session, weights, []));
    for (const [name, tensor] of Object.entries(outputs)) {
      weights.set(name, { shape: tensor.dims, data: floats(tensor) });
    }
  }

  // --- heads -------------------------------------------------------------------------------------------------------

  /**
   * Scores of hidden states [scored, hidden], each [scored]. That no token is banned is taken for granted, which spares
   * divergences passes over the vocabulary; a chunk with a score that is not finite is scored again without.
   */
  async score(
    { layout, hidden }: Forward,
    names: readonly ScoreName[],
    weights: Weights,
    { temperature, reference }: HeadOptions,
  ): Promise<Map<ScoreName, Float64Array>> {
    const { model, dtype } = this.#options;
    const tempered = temperature !== 1;
    const sessionOf = (bans: boolean) =>
      this.sessions.get(`head/score/${names.join()}/${tempered}/${bans}`, () =>
        scoreGraph({ model, dtype, scores: names, tempered, bans }),
      );
    const out = new Map(names.map((name) => [name, new Float64Array(layout.sources.length)]));
    for (const chunk of this.#chunks(layout)) {
      const feeds = this.#headFeeds(layout, chunk, temperature, reference?.hidden);
      feeds.set('hidden', this.#hiddenOf(hidden, chunk));
      const run = async (session: Session) => {
        const outputs = await session.run(this.feeds(session, weights, feeds, reference?.weights));
        return names.map((name) => floats(outputs[name]!));
      };
      const taken = await run(await sessionOf(false));
      const finite = taken.every((values) => values.every(Number.isFinite));
      const scored = finite || reference === undefined ? taken : await run(await sessionOf(true));
      names.forEach((name, i) => {
        out.get(name)!.set(scored[i]!, chunk.from);
      });
    }
    return out;
  }

  /**
   * Gradients of the head's trained tensors are added to `gradients`; returns d / d hidden [scored, hidden], and the
   * values of `valued` scores on the way.
   */
  async scoreVjp(
    { layout, hidden }: Forward,
    cotangents: ReadonlyMap<ScoreName, Float64Array>,
    weights: Weights,
    gradients: Weights,
    { temperature, reference, valued = [] }: HeadOptions & { readonly valued?: readonly ScoreName[] },
  ): Promise<{ dHidden: FloatArray; values: Map<ScoreName, Float64Array> }> {
    const { model, dtype } = this.#options;
    const names = [...cotangents.keys()];
    const wanted = this.#headTrained(names);
    const tempered = temperature !== 1;
    const session = await this.sessions.get(`head/vjp/${names.join()}/${valued.join()}/${tempered}`, () =>
      scoreVjpGraph({ model, dtype, scores: names, wanted, valued, tempered }),
    );
    const values = new Map(valued.map((name) => [name, new Float64Array(layout.sources.length)]));
    const dHidden = allocate(dtype, hidden.length);
    const { given, fetches } = accumulators(session, gradients);
    for (const chunk of this.#chunks(layout)) {
      const read = [...names, ...valued].some((name) => scoreOf(name).needsReference) ? reference : undefined;
      const feeds = this.#headFeeds(layout, chunk, temperature, read?.hidden);
      feeds.set('hidden', this.#hiddenOf(hidden, chunk));
      this.#feedCotangents(feeds, cotangents, chunk, temperature);
      const into = dHidden.subarray(chunk.from * this.#width, chunk.to * this.#width);
      fetches.set('grad/hidden', floatTensor(into, [chunk.to - chunk.from, this.#width]));
      const outputs = await session.run(
        this.feeds(session, weights, [...feeds, ...given], reference?.weights),
        fetches,
      );
      for (const name of valued) values.get(name)!.set(floats(outputs[name]!), chunk.from);
    }
    return { dHidden, values };
  }

  /** What is trained of the heads that these scores go through. */
  #headTrained(scores: readonly ScoreName[]): string[] {
    const { model, trained } = this.#options;
    const through = (scalar: boolean) => scores.some((name) => isScalar(name) === scalar);
    return [
      ...(through(false) ? [model.headWeight] : []),
      ...(through(true) && model.scalarHead !== undefined ? [model.scalarHead] : []),
    ].filter((name) => trained.includes(name));
  }

  *#chunks({ sources }: Pick<Layout, 'sources'>): Generator<Chunk> {
    const fast = Math.max(CHUNK_ROWS, Math.floor(CHUNK_LOGITS / this.#options.model.dimensions.vocabularySize));
    const chunks = Math.ceil(sources.length / Math.min(fast, this.#rowsAtOnce));
    for (let i = 0; i < chunks; i++) {
      yield { from: Math.floor((i * sources.length) / chunks), to: Math.floor(((i + 1) * sources.length) / chunks) };
    }
  }

  /** Whose logits may be in memory together. */
  get #rowsAtOnce(): number {
    const { model, logitsAtOnce = LOGITS_AT_ONCE } = this.#options;
    return Math.max(1, Math.floor(logitsAtOnce / model.dimensions.vocabularySize));
  }

  /** All that a head reads of a chunk but its hidden states. */
  #headFeeds(
    { targets }: Layout,
    chunk: Chunk,
    temperature: number,
    reference?: FloatArray | undefined,
  ): Map<string, Tensor> {
    const { from, to } = chunk;
    const feeds = new Map([
      ['targets', new Tensor('int64', targets.subarray(from, to), [to - from])],
      ['inverseTemperature', floatTensor(allocate(this.#options.dtype, 1).fill(1 / temperature), [])],
    ]);
    if (reference !== undefined) feeds.set(`${REFERENCE}hidden`, this.#hiddenOf(reference, chunk));
    return feeds;
  }

  #hiddenOf(hidden: FloatArray, { from, to }: Chunk): Tensor {
    const width = this.#width;
    return floatTensor(hidden.subarray(from * width, to * width), [to - from, width]);
  }

  /** `d/<score>` of a chunk; of scores through logits, by the temperature that divided those. */
  #feedCotangents(
    feeds: Map<string, Tensor>,
    cotangents: ReadonlyMap<ScoreName, Float64Array>,
    { from, to }: Chunk,
    temperature: number,
  ): void {
    for (const [name, cotangent] of cotangents) {
      const part = allocate(this.#options.dtype, to - from);
      const own = cotangent.subarray(from, to);
      part.set(isScalar(name) ? own : own.map((x) => x / temperature));
      feeds.set(`d/${name}`, floatTensor(part, [part.length]));
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
    const outputs = await session.run(this.feeds(session, weights, this.#rows.of(layout)));
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
    const { logits } = await session.run(this.feeds(session, weights, feeds));
    return floats(logits!);
  }

  /**
   * One token a row over the cache: hidden states [rows, hidden] and each layer's new keys and values [rows, kvHeads, 1,
   * headDim]. What is chosen by the hidden states is chosen in the same run: two sessions' threads would wait in each
   * other's way.
   */
  async step(
    { weights, adapter }: Variant,
    step: DecodingStep,
    choice?: StepChoice,
  ): Promise<{ hidden: FloatArray; present: readonly KeysAndValues[]; outputs: Readonly<Record<string, Tensor>> }> {
    const { kvHeads, headDim } = this.#options.model.dimensions;
    const rows = step.ids.length;
    const session = await this.sessions.get(`step/${adapter}/${step.wide}/${choice?.kind}`, () => {
      const m = this.#builder({ kind: 'step', wide: step.wide }, adapter, 'step');
      const hidden = m.g.output('hidden', m.g.reshape(this.#options.model.body(m), ['rows', this.#width]));
      choice?.build(m, hidden);
      return m.g.build();
    });
    const column = (values: readonly number[]) => new Tensor('int64', BigInt64Array.from(values, BigInt), [rows, 1]);
    const feeds = new Map<string, Tensor>([
      ['ids', column(step.ids)],
      ['positions', column(step.lengths)],
      ['angles', column(step.angles)],
      ['lengths', new Tensor('int32', Int32Array.from(step.lengths), [rows])],
      ['slots', slots(step.capacity)],
      ...this.#rows.rotary(step.angleLengths, step.angleRows),
      ...(choice?.feeds ?? []),
    ]);
    step.cache.forEach(({ keys, values }, i) => {
      feeds.set(`keys/${i}`, floatTensor(keys, [rows, kvHeads, step.capacity, headDim]));
      feeds.set(`values/${i}`, floatTensor(values, [rows, kvHeads, step.capacity, headDim]));
    });
    const outputs = await session.run(this.feeds(session, weights, feeds));
    return { hidden: floats(outputs.hidden!), present: this.#present(outputs, 'new'), outputs };
  }

  #present(outputs: Readonly<Record<string, Tensor>>, prefix: string): KeysAndValues[] {
    return Array.from({ length: this.#options.model.dimensions.layers }, (_, i) => ({
      keys: floats(outputs[`${prefix}/keys/${i}`]!),
      values: floats(outputs[`${prefix}/values/${i}`]!),
    }));
  }

  // --- feeds -------------------------------------------------------------------------------------------------------

  /** What is given, and weights under the names of the inputs that are left; with a prefix, the reference's. */
  feeds(
    session: Session,
    weights: Weights,
    given: Iterable<readonly [string, Tensor]>,
    reference?: Weights,
  ): Map<string, Tensor> {
    const feeds = new Map(given);
    for (const input of session.inputs) {
      if (feeds.has(input)) continue;
      const weight = input.startsWith(REFERENCE) ? reference?.get(input.slice(REFERENCE.length)) : weights.get(input);
      if (weight !== undefined) feeds.set(input, floatTensor(weight.data, weight.shape));
    }
    return feeds;
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

/** Accumulated gradients as a session's inputs and, in the same memory, as its outputs. */
function accumulators(
  session: Session,
  gradients: Weights,
): { given: Map<string, Tensor>; fetches: Map<string, Tensor> } {
  const given = new Map<string, Tensor>();
  const fetches = new Map<string, Tensor>();
  for (const [name, { data, shape }] of gradients) {
    if (session.inputs.includes(`acc/${name}`)) given.set(`acc/${name}`, floatTensor(data, shape));
    if (session.outputs.includes(`grad/${name}`)) fetches.set(`grad/${name}`, floatTensor(data, shape));
  }
  return { given, fetches };
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
