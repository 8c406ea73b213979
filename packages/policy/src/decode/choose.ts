import type { Builder, Graph, Value } from '@kelpie/onnx';
import type { Model } from '../architecture.js';
import { ModelBuilder } from '../model-builder.js';
import type { FloatArray } from '../parameters.js';
import { floats, floatTensor, type Session, type Sessions, Tensor } from '../sessions.js';
import type { SampleRequest } from '../types.js';
import { type Arithmetic, allocate } from '../weights.js';

export type Truncation = Pick<SampleRequest, 'temperature' | 'topK' | 'topP' | 'minP'>;

export interface Choice {
  /** [rows] */
  readonly ids: readonly number[];
  /** [rows]: at temperature 1, with nothing cut off. */
  readonly logprobs: Float64Array;
}

/** What of a truncation is in force: each has its own graph, its numbers come in. */
interface ChooseGraphOptions {
  readonly model: Pick<Model, 'head' | 'parameters' | 'dimensions'>;
  readonly dtype: Arithmetic;
  readonly wide: boolean;
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
  readonly #model: ChooseGraphOptions['model'];
  readonly #dtype: Arithmetic;
  readonly #truncation: Required<Truncation>;
  #candidates: number;

  constructor(
    { sessions, model, dtype }: { sessions: Sessions; model: ChooseGraphOptions['model']; dtype: Arithmetic },
    { temperature = 1, topK = 0, topP = 1, minP = 0 }: Truncation,
  ) {
    this.#sessions = sessions;
    this.#model = model;
    this.#dtype = dtype;
    const { vocabularySize } = model.dimensions;
    this.#truncation = { temperature, topK: topK < vocabularySize ? topK : 0, topP, minP };
    this.#candidates = Math.min(vocabularySize, FIRST_CANDIDATES);
  }

  get greedy(): boolean {
    return this.#truncation.temperature === 0;
  }

  /**
   * @param hidden [rows, hidden]
   * @param uniforms [rows], in [0, 1); not looked at when greedy.
   * @param wide many rows (see `Mode`).
   * @param feedsOf completes feeds with the head's weights.
   */
  async choose(
    hidden: FloatArray,
    uniforms: Float64Array,
    wide: boolean,
    feedsOf: (session: Session, given: Iterable<readonly [string, Tensor]>) => ReadonlyMap<string, Tensor>,
  ): Promise<Choice> {
    const { vocabularySize, hiddenSize } = this.#model.dimensions;
    const { temperature, topK, topP, minP } = this.#truncation;
    const rows = uniforms.length;
    const session = await this.#session(wide);
    const scalar = (x: number) => floatTensor(allocate(this.#dtype, 1).fill(x), []);
    const count = (n: number) => new Tensor('int64', BigInt64Array.of(BigInt(n)), [1]);
    const given: (readonly [string, Tensor])[] = [
      ['hidden', floatTensor(hidden, [rows, hiddenSize])],
      ['uniforms', new Tensor('float64', uniforms, [rows, 1])],
      ['inverseTemperature', scalar(1 / temperature)],
      ['topK', count(topK)],
      ['topP', new Tensor('float64', Float64Array.of(topP), [])],
      ['minP', scalar(minP)],
    ];
    for (;;) {
      const feeds = feedsOf(session, [...given, ['candidates', count(this.#candidates)]]);
      const { id, logprob, held } = await session.run(feeds);
      const short = held !== undefined && floats(held).some((mass) => mass < topP);
      if (short && this.#candidates < vocabularySize) {
        this.#candidates = Math.min(vocabularySize, 8 * this.#candidates);
        continue;
      }
      return {
        ids: Array.from(id!.data as BigInt64Array, Number),
        logprobs: Float64Array.from(floats(logprob!)),
      };
    }
  }

  #session(wide: boolean): Promise<Session> {
    const { temperature, topK, topP, minP } = this.#truncation;
    const options = {
      model: this.#model,
      dtype: this.#dtype,
      wide,
      greedy: this.greedy,
      tempered: !this.greedy && temperature !== 1,
      topK: !this.greedy && topK > 0,
      topP: !this.greedy && topP < 1,
      minP: !this.greedy && minP > 0,
    };
    const { model, dtype, ...flags } = options;
    return this.#sessions.get(`choose/${Object.values(flags).join()}`, () => chooseGraph(options));
  }
}

/**
 * hidden [rows, hidden] -> `id` int64 [rows, 1] and its `logprob` float64 [rows, 1]. Of a draw with top-p also `held`
 * float64 [rows, 1]: the share of the mass that the sorted candidates hold; where it is below p, more must be sorted.
 */
function chooseGraph({ model, dtype, wide, greedy, tempered, topK, topP, minP }: ChooseGraphOptions): Graph {
  const mode = { kind: 'step', wide } as const;
  const m = new ModelBuilder({ parameters: model.parameters, mode, dtype, name: 'choose' });
  const { g } = m;
  const logits = model.head(m, g.input('hidden', dtype, ['rows', model.dimensions.hiddenSize]));
  if (greedy) {
    const id = g.emit('ArgMax', [logits], { axis: 1, keepdims: 1 })[0]!;
    return outputs(g, logits, id, g.gatherElements(g.logSoftmax(logits), id, 1));
  }
  const uniform = g.input('uniforms', 'float64', ['rows', 1]);
  const probabilities = g.softmax(tempered ? g.mul(logits, g.input('inverseTemperature', dtype, [])) : logits);
  let weights = probabilities;
  if (topK) weights = keepTopK(g, logits, weights);
  if (topP) weights = keepTopP(g, weights);
  if (minP) weights = keepFrom(g, weights, weights, g.mul(g.max(weights, [1]), g.input('minP', dtype, [])));
  const id = draw(g, weights, uniform);
  // What is drawn has a positive probability at its own temperature; at 1 it may have none that a float can hold.
  const logprob = tempered
    ? g.gatherElements(g.logSoftmax(logits), id, 1)
    : g.log(g.cast(g.gatherElements(probabilities, id, 1), 'float64'));
  return outputs(g, logits, id, logprob);
}

function outputs(g: Builder, logits: Value, id: Value, logprob: Value): Graph {
  // ONNX Runtime's softmax takes NaN for a probability of 0. A sum less itself is 0, or NaN where a term is not finite.
  const sum = g.sum(logits, [1]);
  g.output('id', id);
  g.output('logprob', g.add(g.cast(logprob, 'float64'), g.cast(g.sub(sum, sum), 'float64')));
  return g.build();
}

/** Weights where x >= threshold [rows, 1], 0 elsewhere: what equals the last one kept is kept as well. */
function keepFrom(g: Builder, x: Value, weights: Value, threshold: Value): Value {
  return g.where(g.emit('GreaterOrEqual', [x, threshold])[0]!, weights, g.scalar(0));
}

function keepTopK(g: Builder, logits: Value, weights: Value): Value {
  const [largest] = g.emit('TopK', [logits, g.input('topK', 'int64', [1])], { axis: 1 }, { outputs: 2 });
  return keepFrom(g, logits, weights, g.emit('ReduceMin', [largest, g.ints([1])], { keepdims: 1 })[0]!);
}

/** The fewest of the largest weights that hold at least p of the mass: as long as those before hold less. */
function keepTopP(g: Builder, weights: Value): Value {
  const p = g.input('topP', 'float64', []);
  const total = g.cast(g.sum(weights, [1]), 'float64');
  const count = g.input('candidates', 'int64', [1]);
  const [sorted] = g.emit('TopK', [weights, count], { axis: 1, sorted: 1 }, { outputs: 2 });
  const masses = g.cast(sorted!, 'float64');
  const before = cumulative(g, masses, { exclusive: true });
  g.output('held', g.div(g.sum(masses, [1]), total));
  const kept = g.where(g.less(before, g.mul(p, total)), sorted!, g.max(sorted!, [1]));
  return keepFrom(g, weights, weights, g.emit('ReduceMin', [kept, g.ints([1])], { keepdims: 1 })[0]!);
}

/**
 * Inverse of the distribution function: the token whose stretch of the summed weights holds uniform * total. Two levels,
 * so that the sums are short and the long ones in float64: blocks first, then the tokens of one block.
 */
function draw(g: Builder, weights: Value, uniform: Value): Value {
  const vocabulary = weights.shape[1] as number;
  const { blocks, width } = blocksOf(vocabulary);
  const padding = blocks * width - vocabulary;
  const whole = padding === 0 ? weights : g.emit('Pad', [weights, g.ints([0, 0, 0, padding])])[0]!;
  const grid = g.reshape(whole, ['rows', blocks, width]);
  const masses = g.cast(g.sum(grid, [2], false), 'float64');
  const target = g.mul(uniform, g.sum(masses, [1]));
  const block = placeOf(g, masses, target);
  const before = g.gatherElements(cumulative(g, masses, { exclusive: true }), block, 1);
  const inside = g.cast(g.emit('GatherND', [grid, block], { batch_dims: 1 })[0]!, 'float64');
  const place = placeOf(g, inside, g.sub(target, before));
  return g.add(g.mul(block, g.scalar(width, 'int64')), place);
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
