import { type Builder, type Dim, inAllTurns, product, type Value } from '@kelpie/onnx';
import type { Model } from '../architecture.js';
import { ModelBuilder, type Products } from '../model-builder.js';
import type { FloatArray } from '../parameters.js';
import { floats, floatTensor, type Session, type Sessions, Tensor } from '../sessions.js';
import type { SampleRequest } from '../types.js';
import { type Arithmetic, allocate } from '../weights.js';
import { aloneAndFirst } from './turns.js';

export type Truncation = Pick<SampleRequest, 'temperature' | 'topK' | 'topP' | 'minP'>;

export interface Choice {
  /** [rows] */
  readonly ids: readonly number[];
  /** [rows]: at temperature 1, with nothing cut off. */
  readonly logprobs: Float64Array;
  /** [rows]: of the distribution drawn from, where it is another. */
  readonly drawnLogprobs?: Float64Array;
}

type Head = Pick<Model, 'head' | 'parameters' | 'dimensions'>;

/** What of a truncation is in force: each has its own graph, its numbers come in. */
interface Flags {
  readonly greedy: boolean;
  readonly tempered: boolean;
  readonly topK: boolean;
  readonly topP: boolean;
  readonly minP: boolean;
}

/** Tokens that are sorted for top-p before more are. */
const FIRST_CANDIDATES = 512;

/**
 * Chooses tokens behind hidden states, head and all in one graph: ids and log-probabilities come out, logits never do.
 * The order is that of transformers: temperature, then top-k, top-p, min-p.
 */
export class Chooser {
  readonly #sessions: Sessions;
  readonly #model: Head;
  readonly #dtype: Arithmetic;
  readonly #truncation: Required<Truncation>;
  readonly #flags: Flags;
  #candidates: number;
  #numbers: (readonly [string, Tensor])[] | undefined;

  constructor(
    { sessions, model, dtype }: { sessions: Sessions; model: Head; dtype: Arithmetic },
    { temperature = 1, topK = 0, topP = 1, minP = 0 }: Truncation,
  ) {
    this.#sessions = sessions;
    this.#model = model;
    this.#dtype = dtype;
    const { vocabularySize } = model.dimensions;
    this.#truncation = { temperature, topK: topK < vocabularySize ? topK : 0, topP, minP };
    const { topK: k } = this.#truncation;
    const greedy = temperature === 0;
    this.#flags = {
      greedy,
      tempered: !greedy && temperature !== 1,
      topK: !greedy && k > 0,
      topP: !greedy && topP < 1,
      minP: !greedy && minP > 0,
    };
    this.#candidates = k > 0 ? k : Math.min(vocabularySize, FIRST_CANDIDATES);
  }

  get greedy(): boolean {
    return this.#flags.greedy;
  }

  /** Whether tokens are drawn from another distribution than the policy's at temperature 1. */
  get bent(): boolean {
    const { greedy, tempered, topK, topP, minP } = this.#flags;
    return !greedy && (tempered || topK || topP || minP);
  }

  /** The kind of choice: its graph is named by it. */
  get kind(): string {
    return Object.values(this.#flags).join();
  }

  /**
   * Declares the choice behind `hidden` [rows, hidden]: outputs `id` int64 [rows, 1] and `logprob` float64 [rows, 1]; of a
   * draw that is tempered or truncated `drawnLogprob` likewise, and with top-p `held` float64 [rows, 1], the share of the
   * mass that the sorted candidates hold.
   */
  build(m: ModelBuilder, hidden: Value): void {
    const { g } = m;
    const logits = this.#model.head(m, hidden);
    // A wide head gives this one: two transpositions that cancel.
    const columns = turn(g, logits);
    const { id, logprob, drawnLogprob } = this.#flags.greedy
      ? largest(g, logits)
      : drawn(g, logits, columns, this.#flags);
    // ONNX Runtime's exponential takes NaN for a very small number. A sum less itself is 0, or NaN if a term is not finite.
    const sum = turn(g, totals(g, columns));
    g.output('id', id);
    if (drawnLogprob !== undefined) g.output('drawnLogprob', drawnLogprob);
    g.output('logprob', g.add(g.cast(logprob, 'float64'), g.cast(g.sub(sum, sum), 'float64')));
  }

  /** @param uniforms [rows, turns], in [0, 1); not looked at when greedy. */
  feeds(uniforms: Float64Array, rows = uniforms.length): (readonly [string, Tensor])[] {
    this.#numbers ??= this.#truncationFeeds();
    return [
      ...aloneAndFirst('uniforms', new Tensor('float64', uniforms, [rows, uniforms.length / rows])),
      ...this.#numbers,
    ];
  }

  /** Whether what is sorted is enough at any rate, so that several tokens may be chosen in one run. */
  get sure(): boolean {
    return !this.#flags.topP || this.#candidates === this.#model.dimensions.vocabularySize;
  }

  #truncationFeeds(): (readonly [string, Tensor])[] {
    const { temperature, topK, topP, minP } = this.#truncation;
    const scalar = (x: number) => floatTensor(allocate(this.#dtype, 1).fill(x), []);
    const count = (n: number) => new Tensor('int64', BigInt64Array.of(BigInt(n)), [1]);
    return [
      ['inverseTemperature', scalar(1 / temperature)],
      ['topKPlace', count(topK - 1)],
      ['topP', new Tensor('float64', Float64Array.of(topP), [])],
      ['minP', scalar(minP)],
      ['candidates', count(this.#candidates)],
    ];
  }

  /** What was chosen; undefined where top-p needs more candidates than were sorted, which the next feeds ask for. */
  read({ id, logprob, drawnLogprob, held }: Readonly<Record<string, Tensor>>): Choice | undefined {
    const { vocabularySize } = this.#model.dimensions;
    const short = held !== undefined && floats(held).some((mass) => mass < this.#truncation.topP);
    if (short && this.#candidates < vocabularySize) {
      this.#candidates = Math.min(vocabularySize, 8 * this.#candidates);
      this.#numbers = undefined;
      return undefined;
    }
    return {
      ids: Array.from(id!.data as BigInt64Array, Number),
      logprobs: Float64Array.from(floats(logprob!)),
      ...(drawnLogprob && { drawnLogprobs: Float64Array.from(floats(drawnLogprob)) }),
    };
  }

  /** What several turns chose, one after the other (see `Passes.steps`). */
  readAll(outputs: Readonly<Record<string, Tensor>>, rows: number): Choice[] {
    const of = (name: string) => outputs[inAllTurns(name)];
    const ids = of('id')!.data as BigInt64Array;
    const ofTurn = <T extends FloatArray | BigInt64Array>(data: T, t: number) =>
      data.subarray(t * rows, (t + 1) * rows) as T;
    const [logprobs, drawn] = [of('logprob')!, of('drawnLogprob')].map((tensor) => tensor && floats(tensor));
    return Array.from({ length: ids.length / rows }, (_, t) => ({
      ids: Array.from(ofTurn(ids, t), Number),
      logprobs: Float64Array.from(ofTurn(logprobs!, t)),
      ...(drawn && { drawnLogprobs: Float64Array.from(ofTurn(drawn, t)) }),
    }));
  }

  /**
   * A choice by itself.
   *
   * @param hidden [rows, hidden]
   * @param feedsOf completes feeds with the head's weights.
   */
  async choose(
    hidden: FloatArray,
    uniforms: Float64Array,
    products: Products,
    feedsOf: (session: Session, given: Iterable<readonly [string, Tensor]>) => ReadonlyMap<string, Tensor>,
  ): Promise<Choice> {
    const width = this.#model.dimensions.hiddenSize;
    const build = () => {
      const mode = { kind: 'step', products } as const;
      const m = new ModelBuilder({ parameters: this.#model.parameters, mode, dtype: this.#dtype, name: 'choose' });
      this.build(m, m.g.input('hidden', this.#dtype, ['rows', width]));
      return m.g.build();
    };
    const session = await this.#sessions.get(`choose/${this.kind}/${products}`, build, { small: true });
    const states = floatTensor(hidden, [uniforms.length, width]);
    for (;;) {
      const outputs = await session.run(feedsOf(session, [['hidden', states], ...this.feeds(uniforms)]));
      const choice = this.read(outputs);
      if (choice !== undefined) return choice;
    }
  }
}

function uniformsOf(g: Builder, rows: Dim): Value {
  return g.has('uniforms') ? g.value('uniforms') : g.input('uniforms', 'float64', [rows, 1]);
}

interface Chosen {
  readonly id: Value;
  readonly logprob: Value;
  readonly drawnLogprob?: Value;
}

function largest(g: Builder, logits: Value): Chosen {
  const id = g.emit('ArgMax', [logits], { axis: 1, keepdims: 1 })[0]!;
  return { id, logprob: g.gatherElements(g.logSoftmax(logits), id, 1) };
}

/**
 * A draw over `columns`, the logits as [vocabulary, rows]: what has the vocabulary's size stays in the order in which
 * the head gives it.
 */
function drawn(g: Builder, logits: Value, columns: Value, { tempered, topK, topP, minP }: Flags): Chosen {
  const heat = tempered ? g.input('inverseTemperature', g.dtype, []) : undefined;
  const weigh = (below: Value) => g.exp(heat === undefined ? below : g.mul(below, heat));
  const top = largestOf(g, columns);
  const below = less(g, columns, top);
  const all = weigh(below);
  let weights = all;
  if (topK || topP) {
    const threshold = sortedThreshold(g, { logits, columns, all, top: turn(g, top), weigh }, { topK, topP });
    weights = keepFrom(g, columns, weights, turn(g, threshold));
  }
  // The largest weight is 1.
  if (minP) weights = keepFrom(g, all, weights, g.input('minP', g.dtype, []));
  const blocks = inBlocks(g, weights);
  const id = draw(g, blocks, uniformsOf(g, columns.shape[1]!));
  const untruncated = tempered ? g.exp(below) : all;
  const same = untruncated === weights;
  const { masses } = same ? blocks : inBlocks(g, untruncated);
  const chosen = g.gatherElements(below, turn(g, id), 0);
  const logprobIn = (logit: Value, mass: Value) => g.sub(g.cast(turn(g, logit), 'float64'), g.log(g.sum(mass, [1])));
  return {
    id,
    logprob: logprobIn(chosen, masses),
    ...(!same && { drawnLogprob: logprobIn(heat === undefined ? chosen : g.mul(chosen, heat), blocks.masses) }),
  };
}

/** Weights where x >= threshold, 0 elsewhere: what equals the last one kept is kept as well. */
function keepFrom(g: Builder, x: Value, weights: Value, threshold: Value): Value {
  return g.where(g.emit('GreaterOrEqual', [x, threshold])[0]!, weights, g.scalar(0));
}

/**
 * The smallest logit [rows, 1] that top-k and then top-p keep, out of the sorted candidates. Top-p keeps the fewest of
 * the largest that hold at least p of the mass: each as long as those before it hold less.
 */
function sortedThreshold(
  g: Builder,
  {
    logits,
    columns,
    all,
    top,
    weigh,
  }: { logits: Value; columns: Value; all: Value; top: Value; weigh: (below: Value) => Value },
  { topK, topP }: Pick<Flags, 'topK' | 'topP'>,
): Value {
  const count = g.input('candidates', 'int64', [1]);
  const sorted = g.emit('TopK', [logits, count], { axis: 1, sorted: 1 }, { outputs: 2 })[0]!;
  const last = topK ? g.gather(sorted, g.input('topKPlace', 'int64', [1]), 1) : undefined;
  if (!topP) return last!;
  const p = g.input('topP', 'float64', []);
  const left = last === undefined ? all : keepFrom(g, columns, all, turn(g, last));
  const total = g.sum(inBlocks(g, left).masses, [1]);
  const weights = weigh(g.sub(sorted, top));
  const masses = g.cast(last === undefined ? weights : keepFrom(g, sorted, weights, last), 'float64');
  g.output('held', g.div(g.sum(masses, [1]), total));
  const needed = g.less(cumulative(g, masses, { exclusive: true }), g.mul(p, total));
  const kept = g.emit('ReduceMin', [g.where(needed, sorted, top), g.ints([1])], { keepdims: 1 })[0]!;
  return last === undefined ? kept : g.emit('Max', [kept, last])[0]!;
}

interface Blocks {
  /** [blocks * width, rows]: the weights, with zeros at the end where the vocabulary is not a product. */
  readonly weights: Value;
  readonly width: number;
  /** float64 [rows, blocks] */
  readonly masses: Value;
}

/** Sums of blocks in the graph's arithmetic, short ones; all further sums are taken in float64. */
function inBlocks(g: Builder, columns: Value): Blocks {
  const vocabulary = columns.shape[0] as number;
  const { blocks, width } = blocksOf(vocabulary);
  const padding = blocks * width - vocabulary;
  const weights = padding === 0 ? columns : g.emit('Pad', [columns, g.ints([0, 0, padding, 0])])[0]!;
  return { weights, width, masses: g.cast(turn(g, blockSums(g, weights, blocks, width)), 'float64') };
}

/** Sums [blocks, rows] of columns [blocks * width, rows]; of one row the blocks are lines of a matrix, and their sums one product. */
function blockSums(g: Builder, columns: Value, blocks: number, width: number): Value {
  const rows = columns.shape[1]!;
  const sums =
    rows === 1
      ? g.matmul(g.reshape(columns, [blocks, width]), ones(g, [width, 1]))
      : columnSums(g, g.reshape(columns, [blocks, width, rows]));
  return g.reshape(sums, [blocks, rows]);
}

/** Sums [1, rows] of columns [vocabulary, rows]: block by block takes all threads. */
function totals(g: Builder, columns: Value): Value {
  const { blocks, width } = blocksOf(columns.shape[0] as number);
  return columnSums(g, blocks * width === columns.shape[0] ? blockSums(g, columns, blocks, width) : columns);
}

/** Sums [..., 1, rows] of columns [..., n, rows]: a product with ones takes all threads and a pass at the memory's speed. */
function columnSums(g: Builder, columns: Value): Value {
  return g.matmul(ones(g, [1, columns.shape.at(-2) as number]), columns);
}

function ones(g: Builder, shape: readonly [number, number]): Value {
  return g.constant(g.dtype, shape, new Array<number>(shape[0] * shape[1]).fill(1));
}

/** The largest number [1, rows] of each of the columns [vocabulary, rows]: block by block takes all threads. */
function largestOf(g: Builder, columns: Value): Value {
  const { blocks, width } = blocksOf(columns.shape[0] as number);
  if (blocks * width !== columns.shape[0]) return g.max(columns, [0]);
  return g.max(g.max(g.reshape(columns, [blocks, width, columns.shape[1]!]), [1], false), [0]);
}

/** Columns [vocabulary, rows] less a number each: several tokens' side by side, as ONNX Runtime broadcasts line by line. */
function less(g: Builder, columns: Value, top: Value): Value {
  const [vocabulary, rows] = columns.shape as readonly [number, Dim];
  const { blocks, width } = blocksOf(vocabulary);
  if (blocks * width !== vocabulary || rows === 1) return g.sub(columns, top);
  const lines = g.reshape(columns, [blocks, product([width, rows])]);
  return g.reshape(g.sub(lines, g.emit('Tile', [top, g.ints([1, width])])[0]!), columns.shape);
}

/**
 * Inverse of the distribution function: the token whose stretch of the summed weights holds uniform * total. The block
 * first, then the place within.
 */
function draw(g: Builder, { weights, width, masses }: Blocks, uniform: Value): Value {
  const target = g.mul(uniform, g.sum(masses, [1]));
  const block = placeOf(g, masses, target);
  const before = g.gatherElements(cumulative(g, masses, { exclusive: true }), block, 1);
  const first = g.mul(block, g.scalar(width, 'int64'));
  const places = g.add(
    turn(g, first),
    g.constant(
      'int64',
      [width, 1],
      Array.from({ length: width }, (_, i) => i),
    ),
  );
  const inside = g.cast(turn(g, g.gatherElements(weights, places, 0)), 'float64');
  return g.add(first, placeOf(g, inside, g.sub(target, before)));
}

/** The first place [rows, 1] whose inclusive sum passes the target; the last that weighs anything if none does. */
function placeOf(g: Builder, masses: Value, target: Value): Value {
  const sums = cumulative(g, masses);
  const total = g.max(sums, [1]);
  const passed = g.and(g.lessOrEqual(sums, target), g.less(sums, total));
  return g.sum(g.cast(passed, 'int64'), [1]);
}

function cumulative(g: Builder, x: Value, { exclusive = false } = {}): Value {
  return g.emit('CumSum', [x, g.constant('int64', [], [1])], { exclusive: exclusive ? 1 : 0 })[0]!;
}

/** [a, b] as [b, a]; a transposition of one line would copy it. */
function turn(g: Builder, x: Value): Value {
  const [a, b] = x.shape as readonly [Dim, Dim];
  return a === 1 || b === 1 ? g.reshape(x, [b, a]) : g.transpose(x, [1, 0]);
}

/** Blocks about as many as tokens in one; padding is a copy of all weights, so an even division is preferred. */
export function blocksOf(vocabulary: number): { blocks: number; width: number } {
  const root = Math.max(1, Math.round(Math.sqrt(vocabulary)));
  for (let off = 0; off <= 0.75 * root; off++) {
    for (const width of [root + off, root - off]) {
      if (width >= 1 && vocabulary % width === 0) return { blocks: vocabulary / width, width };
    }
  }
  return { blocks: Math.ceil(vocabulary / root), width: root };
}
