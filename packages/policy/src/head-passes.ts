import { BufferPool } from './buffer-pool.js';
import { accumulators, feedsOf } from './feeds.js';
import type { Layout } from './layout.js';
import type { FloatArray, Weights } from './parameters.js';
import type { Forward, PassesOptions } from './passes.js';
import { isScalar, REFERENCE, readsBans, scoreGraph, scoreOf, scoreVjpGraph } from './score.js';
import { floats, floatTensor, type Session, type Sessions, Tensor } from './sessions.js';
import type { ScoreName } from './types.js';
import { allocate } from './weights.js';

/** How a head is read. */
export interface HeadOptions {
  /** Divides the logits. */
  readonly temperature: number;
  /** Hidden states [scored, hidden] and weights of the reference, where a score reads it. */
  readonly reference?: { readonly hidden: FloatArray; readonly weights: Weights } | undefined;
  /** Where logits are kept (see `keepLogits`): a pass forward writes them, the one back reads them. */
  readonly kept?: KeptLogits | undefined;
}

/** Of one run of a head, and apart from those of all that are kept for gradients, at most, unless a policy says otherwise. */
export const LOGITS_AT_ONCE = 2 ** 25;
/**
 * Of a chunk of a head's own session: 8 MiB in float32, of which several fit into a cache. A tensor of 32 MiB would also
 * get fresh pages from the system each time, whose first touch costs more than what is written to them.
 */
const CHUNK_LOGITS = 2 ** 21;
/** Fewer rows at once read the head's matrix too often. */
const CHUNK_ROWS = 128;

/** Rows of a chunk of a head's own session. */
export function rowsOfChunk(vocabularySize: number): number {
  return Math.max(CHUNK_ROWS, Math.floor(CHUNK_LOGITS / vocabularySize));
}

/** Scored tokens, `to` excluded. */
export interface Chunk {
  readonly from: number;
  readonly to: number;
}

/** Logits of scored tokens [scored, vocabulary], kept for the way back. */
export interface KeptLogits {
  readonly logits: FloatArray;
  /** Gives their memory back. Nothing may read them then. */
  release(): void;
}

/** Passes over a model's heads: from hidden states to scores, and back from the scores' cotangents. */
export class HeadPasses {
  readonly #options: PassesOptions;
  readonly #sessions: Sessions;
  readonly #width: number;
  readonly #buffers: BufferPool;
  /** Numbers that are kept. */
  #kept = 0;

  constructor(options: PassesOptions, sessions: Sessions) {
    this.#options = options;
    this.#sessions = sessions;
    this.#width = options.model.dimensions.hiddenSize;
    this.#buffers = new BufferPool(options.dtype);
  }

  /**
   * Memory for the logits of a batch, to be scored into and read by `scoreVjp`: a product less. Undefined where no score
   * goes through logits, where a pass is to keep nothing, or where those that are kept would not fit beside these.
   */
  keepLogits({ sources }: Layout, names: readonly ScoreName[]): KeptLogits | undefined {
    const { model, keep = 'products', logitsAtOnce = LOGITS_AT_ONCE } = this.#options;
    const length = sources.length * model.dimensions.vocabularySize;
    if (keep === 'nothing' || names.every(isScalar) || this.#kept + length > logitsAtOnce) return undefined;
    this.#kept += length;
    const logits = this.#buffers.take('logits', length);
    return {
      logits,
      release: () => {
        this.#kept -= length;
        this.#buffers.give('logits', logits);
      },
    };
  }

  /**
   * Scores of hidden states [scored, hidden], each [scored]. That no token is banned is taken for granted, which spares
   * divergences passes over the vocabulary; a chunk with a score that is not finite is scored again without.
   */
  async score(
    { layout, hidden }: Pick<Forward, 'layout' | 'hidden'>,
    names: readonly ScoreName[],
    weights: Weights,
    { temperature, reference, kept }: HeadOptions,
  ): Promise<Map<ScoreName, Float64Array>> {
    const { model, dtype } = this.#options;
    const tempered = temperature !== 1;
    const keep = kept !== undefined;
    const sessionOf = (bans: boolean) =>
      this.#sessions.get(`head/score/${names.join()}/${tempered}/${bans}/${keep}`, () =>
        scoreGraph({ model, dtype, scores: names, tempered, bans, keep }),
      );
    const out = new Map(names.map((name) => [name, new Float64Array(layout.sources.length)]));
    for (const chunk of this.#chunks(layout)) {
      const feeds = this.feeds(layout, chunk, temperature, reference?.hidden);
      feeds.set('hidden', this.#hiddenOf(hidden, chunk));
      const run = async (session: Session) => {
        const fetches = kept && new Map([[session.outputs.at(-1)!, this.#logitsOf(kept, chunk)]]);
        const outputs = await session.run(feedsOf(session, weights, feeds, reference?.weights), fetches);
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
   * values of `valued` scores on the way, not finite where a token is banned that the cotangents' scores do not mind.
   */
  async scoreVjp(
    { layout, hidden }: Forward,
    cotangents: ReadonlyMap<ScoreName, Float64Array>,
    weights: Weights,
    gradients: Weights,
    { temperature, reference, kept, valued = [] }: HeadOptions & { readonly valued?: readonly ScoreName[] },
  ): Promise<{ dHidden: FloatArray; values: Map<ScoreName, Float64Array> }> {
    const { model, dtype } = this.#options;
    const names = [...cotangents.keys()];
    const wanted = this.trainedOf(names);
    const tempered = temperature !== 1;
    const keptHere = names.every(isScalar) ? undefined : kept;
    const session = await this.#sessions.get(
      `head/vjp/${names.join()}/${valued.join()}/${tempered}/${keptHere !== undefined}`,
      () =>
        scoreVjpGraph({
          ...{ model, dtype, scores: names, wanted, valued, tempered },
          ...{ bans: readsBans(names), kept: keptHere !== undefined },
        }),
    );
    const values = new Map(valued.map((name) => [name, new Float64Array(layout.sources.length)]));
    const dHidden = allocate(dtype, hidden.length);
    const { given, fetches } = accumulators(session, gradients);
    for (const chunk of this.#chunks(layout)) {
      const read = [...names, ...valued].some((name) => scoreOf(name).needsReference) ? reference : undefined;
      const feeds = this.feeds(layout, chunk, temperature, read?.hidden);
      feeds.set('hidden', this.#hiddenOf(hidden, chunk));
      this.feedCotangents(feeds, cotangents, chunk, temperature);
      if (keptHere !== undefined) feeds.set(session.inputs.at(-1)!, this.#logitsOf(keptHere, chunk));
      const into = dHidden.subarray(chunk.from * this.#width, chunk.to * this.#width);
      fetches.set('grad/hidden', floatTensor(into, [chunk.to - chunk.from, this.#width]));
      const outputs = await session.run(feedsOf(session, weights, [...feeds, ...given], reference?.weights), fetches);
      for (const name of valued) values.get(name)!.set(floats(outputs[name]!), chunk.from);
    }
    return { dHidden, values };
  }

  /** What is trained of the heads that these scores go through. */
  trainedOf(scores: readonly ScoreName[]): string[] {
    const { model, trained } = this.#options;
    const through = (scalar: boolean) => scores.some((name) => isScalar(name) === scalar);
    return [
      ...(through(false) ? [model.headWeight] : []),
      ...(through(true) && model.scalarHead !== undefined ? [model.scalarHead] : []),
    ].filter((name) => trained.includes(name));
  }

  *#chunks({ sources }: Pick<Layout, 'sources'>): Generator<Chunk> {
    const fast = rowsOfChunk(this.#options.model.dimensions.vocabularySize);
    const chunks = Math.ceil(sources.length / Math.min(fast, this.rowsAtOnce));
    for (let i = 0; i < chunks; i++) {
      yield { from: Math.floor((i * sources.length) / chunks), to: Math.floor(((i + 1) * sources.length) / chunks) };
    }
  }

  /** Whose logits may be in memory together. */
  get rowsAtOnce(): number {
    const { model, logitsAtOnce = LOGITS_AT_ONCE } = this.#options;
    return Math.max(1, Math.floor(logitsAtOnce / model.dimensions.vocabularySize));
  }

  /** All that a head reads of a chunk but its hidden states. */
  feeds(
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

  #logitsOf({ logits }: KeptLogits, { from, to }: Chunk): Tensor {
    const { vocabularySize } = this.#options.model.dimensions;
    return floatTensor(logits.subarray(from * vocabularySize, to * vocabularySize), [to - from, vocabularySize]);
  }

  /** `d/<score>` of a chunk; of scores through logits, by the temperature that divided those. */
  feedCotangents(
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
}
