import type { Value } from '@kelpie/onnx';
import type { Model } from './architecture.js';
import { Cache, type KeysAndValues, type Stretch } from './decode/cache.js';
import { type Choice, Chooser } from './decode/choose.js';
import { StepFeeds } from './decode/step-feeds.js';
import { KelpieError } from './errors.js';
import { feedsOf } from './feeds.js';
import { layOut } from './layout.js';
import type { ModelBuilder, Products } from './model-builder.js';
import type { FloatArray, Weights } from './parameters.js';
import { ARENA_NUMBERS, type DecodingStep, type Passes, type StepChoice, type Variant } from './passes.js';
import { uniforms } from './random.js';
import { stacked } from './stacks.js';
import type { Completion, SampleOptions, SampleRequest } from './types.js';
import { allocate } from './weights.js';

/** A completion in progress. */
interface Row {
  readonly prompt: number;
  /** Its number among the prompt's completions. */
  readonly completion: number;
  readonly uniform: () => number;
  /** Prompt and completion so far. */
  readonly ids: number[];
  readonly logprobs: number[];
  readonly drawnLogprobs: number[];
  ended: boolean;
}

/** A sequence whose keys and values are computed, and the hidden state of its last token. */
interface Filled {
  readonly present: readonly KeysAndValues[];
  readonly stretch: Stretch;
  readonly hidden: FloatArray;
}

const ROWS_AT_ONCE = 64;
/** Of a prefill pass, padding included. */
const PREFILL_TOKENS = 4096;
/**
 * Tokens a row that one run decodes at most: the more, the less calls of ONNX Runtime cost, and the more are drawn in vain behind
 * the end of a row.
 */
const TURNS_AT_ONCE = 8;
/** From how many rows on products are taken with the weights on the left. */
const WIDE_FROM = 5;
/** Parameters of a model whose matrices are copied for rows that are decoded alone, at most: 1 GiB in float32. */
const TURNED_AT_MOST = 2 ** 28;

/**
 * Samples completions with a key-value cache, up to `request.rows` side by side: whoever is finished leaves, whoever
 * waits takes the place. Each prompt is computed once, whatever the number of its completions. The numbers a completion
 * is drawn by depend on the seed, its prompt's place and its own number alone, never on what it is decoded beside.
 */
export async function sample(
  passes: Passes,
  model: Model,
  variant: Variant,
  request: SampleRequest,
  options: SampleOptions = {},
): Promise<Completion[]> {
  return new Decoder(passes, model, variant, request, options).run();
}

class Decoder {
  readonly #passes: Passes;
  readonly #model: Model;
  readonly #variant: Variant;
  /** The weights as they were given: copies are kept with them. */
  readonly #owner: Weights;
  /** Whether steps read turned copies of the matrices. It hangs on the request alone, so that the same draws come again. */
  readonly #turned: boolean;
  /** Whether steps keep their memory: where logits are few enough, as fresh pages cost as much as the work on them. */
  readonly #arena: boolean;
  readonly #request: SampleRequest;
  readonly #options: SampleOptions;
  readonly #chooser: Chooser;
  readonly #stops: ReadonlySet<number>;
  /** Learned positions end, though the newest token needs none until another follows it; rotations go on, as scoring does. */
  readonly #longest: number;
  readonly #all: readonly Row[];
  readonly #waiting: Row[];
  readonly #budget: number;
  readonly #cache: Cache;
  readonly #feeds: StepFeeds;
  /** The row of each of the cache's first slots. */
  readonly #active: Row[] = [];
  /** Prompts that completions still wait for. */
  readonly #prompts = new Map<number, Filled>();

  constructor(passes: Passes, model: Model, variant: Variant, request: SampleRequest, options: SampleOptions) {
    const { prompts, completions = 1, seed = 0, stop = [], rows = ROWS_AT_ONCE, maxNewTokens } = request;
    this.#passes = passes;
    this.#model = model;
    this.#owner = variant.weights;
    this.#variant = { ...variant, weights: stacked(variant.weights, model.stacks ?? [], passes.dtype) };
    this.#request = request;
    this.#options = options;
    this.#chooser = new Chooser({ sessions: passes.sessions, model, dtype: passes.dtype }, request);
    this.#stops = new Set(stop);
    this.#longest = model.rotary === undefined ? model.dimensions.contextLength + 1 : Number.POSITIVE_INFINITY;
    this.#all = prompts.flatMap((ids, prompt) =>
      Array.from({ length: completions }, (_, completion) => ({
        prompt,
        completion,
        uniform: uniforms(seed, `sample/${prompt}/${completion}`),
        ids: [...ids],
        logprobs: [],
        drawnLogprobs: [],
        ended: false,
      })),
    );
    this.#waiting = this.#all.filter(({ ids }) => maxNewTokens > 0 && ids.length < this.#longest);
    this.#budget = Math.min(rows, this.#waiting.length);
    const numbers = model.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    this.#turned = passes.dtype === 'float32' && this.#budget === 1 && numbers <= TURNED_AT_MOST;
    this.#arena = this.#budget * model.dimensions.vocabularySize <= ARENA_NUMBERS;
    const longest = this.#waiting.reduce((n, { ids }) => Math.max(n, ids.length), 0) + maxNewTokens;
    this.#cache = new Cache(model.dimensions, passes.dtype, this.#budget, longest);
    this.#feeds = new StepFeeds(model.dimensions);
  }

  async run(): Promise<Completion[]> {
    // A prefill for every single place that gets free would be short: some are waited for.
    const patience = Math.max(1, Math.floor(this.#budget / 8));
    while (this.#waiting.length + this.#active.length > 0) {
      this.#options.signal?.throwIfAborted();
      const free = this.#budget - this.#active.length;
      if (this.#waiting.length > 0 && (free >= patience || this.#active.length === 0)) await this.#admit(free);
      else await this.#advance();
    }
    const { bent } = this.#chooser;
    return this.#all.map(({ prompt, ids, logprobs, drawnLogprobs, ended }) => ({
      prompt,
      ids: ids.slice(ids.length - logprobs.length),
      logprobs: Float64Array.from(logprobs),
      ...(bent && { drawnLogprobs: Float64Array.from(drawnLogprobs) }),
      ended,
    }));
  }

  /** Rows that waited, into free slots; their prompts are computed where they are not yet, and their first tokens chosen. */
  async #admit(places: number): Promise<void> {
    const rows = this.#waiting.splice(0, places);
    const missing = [...new Set(rows.map(({ prompt }) => prompt))].filter((prompt) => !this.#prompts.has(prompt));
    const filled = await this.#fill(missing.map((prompt) => this.#request.prompts[prompt]!));
    for (const [i, prompt] of missing.entries()) this.#prompts.set(prompt, filled[i]!);

    const longest = Math.max(...[...this.#active, ...rows].map(({ ids }) => ids.length));
    this.#cache.fit(longest + 1, this.#active.length);
    const width = this.#model.dimensions.hiddenSize;
    const hidden = allocate(this.#passes.dtype, rows.length * width);
    const from = this.#active.length;
    rows.forEach((row, i) => {
      const prompt = this.#prompts.get(row.prompt)!;
      this.#cache.place(from + i, prompt.present, prompt.stretch);
      hidden.set(prompt.hidden, i * width);
      this.#active.push(row);
    });
    for (const prompt of this.#prompts.keys()) if (prompt !== this.#waiting[0]?.prompt) this.#prompts.delete(prompt);
    this.#take(from, [await this.#choose(hidden, this.#draw(rows))]);
  }

  /** One token more for every row in progress, or several. */
  async #advance(): Promise<void> {
    const rows = this.#active;
    const { rotary } = this.#model;
    const classOf = (length: number) => rotary?.classOf(length) ?? '';
    const lengths = rows.map(({ ids }) => ids.length - 1);
    const turns = this.#turns();
    this.#cache.fit(Math.max(...lengths) + (turns ?? 1), rows.length);
    if (turns !== undefined) return this.#take(0, await this.#steps(lengths, turns));
    // Where the angles of all earlier tokens change with the sequence's length, nothing cached is of use.
    const changed = rows.flatMap(({ ids }, i) => (classOf(ids.length) === classOf(ids.length - 1) ? [] : [i]));
    if (changed.length === 0) {
      const drawn = this.#draw(rows);
      const { hidden, choice } = await this.#step(lengths, drawn);
      return this.#take(0, [choice ?? (await this.#choose(hidden, drawn))]);
    }
    const width = this.#model.dimensions.hiddenSize;
    const hidden = allocate(this.#passes.dtype, rows.length * width);
    if (changed.length < rows.length) hidden.set((await this.#step(lengths)).hidden);
    const filled = await this.#fill(changed.map((i) => rows[i]!.ids));
    changed.forEach((slot, i) => {
      this.#cache.place(slot, filled[i]!.present, filled[i]!.stretch);
      hidden.set(filled[i]!.hidden, slot * width);
    });
    return this.#take(0, [await this.#choose(hidden, this.#draw(rows))]);
  }

  /**
   * How many tokens the next run may decode: none behind what any row may have, and no more than each has had, as it may stop
   * at any of them. Undefined where only a single one may.
   */
  #turns(): number | undefined {
    const { maxNewTokens } = this.#request;
    if (!this.#chooser.sure || this.#model.rotary?.varies) return undefined;
    const most = ({ ids, logprobs: { length: had } }: Row) =>
      Math.min(maxNewTokens - had, this.#longest - ids.length, this.#stops.size > 0 ? had : TURNS_AT_ONCE);
    return Math.min(TURNS_AT_ONCE, ...this.#active.map(most));
  }

  /**
   * The newest id of each row goes in, its keys and values join the cache, the hidden states [rows, hidden] come out, and
   * what they choose by the numbers drawn, as far as it could be chosen.
   */
  async #step(
    lengths: readonly number[],
    drawn?: Float64Array,
  ): Promise<{ hidden: FloatArray; choice: Choice | undefined }> {
    const choice = drawn && this.#choiceBy(drawn);
    const { hidden, present, outputs } = await this.#passes.step(this.#variant, this.#stepOf(lengths), choice);
    this.#cache.append(present, lengths);
    return { hidden, choice: choice && this.#chooser.read(outputs) };
  }

  /** Several steps in one run: what each of them chooses. */
  async #steps(lengths: readonly number[], turns: number): Promise<Choice[]> {
    const choice = this.#choiceBy(this.#draw(this.#active, turns));
    const step = this.#stepOf(lengths);
    const { present, outputs } = await this.#passes.steps(this.#variant, step, choice, turns);
    this.#cache.append(present, lengths, turns);
    return this.#chooser.readAll(outputs, lengths.length);
  }

  #choiceBy(drawn: Float64Array): StepChoice {
    const chooser = this.#chooser;
    const build = (m: ModelBuilder, hidden: Value) => chooser.build(m, hidden);
    return { kind: chooser.kind, build, feeds: chooser.feeds(drawn, this.#active.length) };
  }

  #stepOf(lengths: readonly number[]): DecodingStep {
    const rows = this.#active;
    const { rotary } = this.#model;
    const classes = rows.map(({ ids }) => rotary?.classOf(ids.length) ?? '');
    const distinct = new Map(classes.map((key, i) => [key, rows[i]!.ids.length]));
    const indexOf = new Map([...distinct.keys()].map((key, i) => [key, i]));
    const { capacity } = this.#cache;
    return {
      products: this.#turned ? ('turned' as const) : productsOf(rows.length),
      arena: this.#arena,
      feeds: this.#feeds,
      owner: this.#owner,
      ids: rows.map(({ ids }) => ids.at(-1)!),
      angles: lengths.map((length, i) => indexOf.get(classes[i]!)! * capacity + length),
      lengths,
      angleLengths: [...distinct.values()],
      angleRows: capacity,
      capacity,
      cache: this.#cache.view(rows.length),
    };
  }

  /** Numbers for each row, [rows, turns]. */
  #draw(rows: readonly Row[], turns = 1): Float64Array {
    const drawn = new Float64Array(rows.length * turns);
    return this.#chooser.greedy ? drawn : drawn.map((_, i) => rows[Math.floor(i / turns)]!.uniform());
  }

  #choose(hidden: FloatArray, drawn: Float64Array): Promise<Choice> {
    return this.#chooser.choose(hidden, drawn, productsOf(drawn.length), (session, given) =>
      feedsOf(session, this.#variant.weights, given),
    );
  }

  /** Tokens for each row from slot `from` on, as far as it goes on; who is finished leaves. */
  #take(from: number, choices: readonly Choice[]): void {
    const rows = this.#active.slice(from);
    const staying = new Set(rows);
    for (const { ids, logprobs, drawnLogprobs } of choices) {
      this.#options.signal?.throwIfAborted();
      for (const [i, row] of rows.entries()) {
        if (!staying.has(row)) continue;
        if (drawnLogprobs !== undefined) row.drawnLogprobs.push(drawnLogprobs[i]!);
        if (!this.#append(row, ids[i]!, logprobs[i]!)) staying.delete(row);
      }
    }
    for (let i = rows.length - 1; i >= 0; i--) if (!staying.has(rows[i]!)) this.#leave(from + i);
  }

  /** Whether the row goes on. */
  #append(row: Row, id: number, logprob: number): boolean {
    const { prompt, completion, ids, logprobs } = row;
    if (!Number.isFinite(logprob)) {
      throw new KelpieError('the logits are not finite: the weights are damaged, or training diverged', {
        code: 'logits-not-finite',
        where: { prompt, position: ids.length },
      });
    }
    ids.push(id);
    logprobs.push(logprob);
    row.ended = this.#stops.has(id);
    this.#options.onToken?.({ prompt, completion, id, logprob });
    return !row.ended && logprobs.length < this.#request.maxNewTokens && ids.length < this.#longest;
  }

  /** The last row takes the slot. */
  #leave(slot: number): void {
    const last = this.#active.pop()!;
    if (slot === this.#active.length) return;
    this.#cache.move(this.#active.length, slot);
    this.#active[slot] = last;
  }

  /** Whole sequences, several to a pass. */
  async #fill(sequences: readonly (readonly number[])[]): Promise<Filled[]> {
    const filled: Filled[] = [];
    for (const batch of batches(sequences)) filled.push(...(await this.#fillAtOnce(batch)));
    return filled;
  }

  async #fillAtOnce(sequences: readonly (readonly number[])[]): Promise<Filled[]> {
    // One target behind the end makes the last token a source; which id it is does not matter.
    const trees = sequences.map((ids) => ({ trunk: [], branches: [{ ids: [...ids, 0], scoreFrom: ids.length }] }));
    const lengths = sequences.map((ids) => ids.length);
    const layout = layOut(trees, this.#model, lengths);
    const { hidden, present } = await this.#passes.prefill(layout, this.#variant);
    const width = this.#model.dimensions.hiddenSize;
    return layout.places.map(({ row, start }, i) => ({
      present,
      stretch: { row, start, tokens: layout.tokens, length: lengths[i]! },
      hidden: hidden.subarray(i * width, (i + 1) * width),
    }));
  }
}

const productsOf = (rows: number): Products => (rows >= WIDE_FROM ? 'wide' : 'plain');

/** Neighbours together as far as a pass holds them; at least one. */
function batches(sequences: readonly (readonly number[])[]): (readonly number[])[][] {
  const all: (readonly number[])[][] = [];
  let longest = 0;
  for (const ids of sequences) {
    const batch = all.at(-1);
    longest = Math.max(longest, ids.length);
    if (batch !== undefined && (batch.length + 1) * longest <= PREFILL_TOKENS) batch.push(ids);
    else {
      all.push([ids]);
      longest = ids.length;
    }
  }
  return all;
}
