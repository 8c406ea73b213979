import type { Dimensions } from '../architecture.js';
import type { FloatArray } from '../parameters.js';
import { type Arithmetic, allocate } from '../weights.js';

/** One layer's, or the new ones of one pass. */
export interface KeysAndValues {
  readonly keys: FloatArray;
  readonly values: FloatArray;
}

/** Where a sequence stands in a prefill's keys and values [rows, kvHeads, tokens, headDim]. */
export interface Stretch {
  readonly row: number;
  readonly start: number;
  readonly tokens: number;
  readonly length: number;
}

const STEP = 32;

/**
 * Keys and values of the rows in progress, a slot each: per layer [slots, kvHeads, capacity, headDim], in JavaScript
 * memory, written in place and read by the graph where it lies. The rows in progress are the first slots.
 */
export class Cache {
  readonly #dimensions: Dimensions;
  readonly #dtype: Arithmetic;
  readonly #slots: number;
  readonly #longest: number;
  #layers: KeysAndValues[] = [];
  #capacity = 0;
  #view: readonly KeysAndValues[] | undefined;
  /** Capacity that the memory has room for. */
  #allocated = 0;

  /** @param longest row that will ever be. */
  constructor(dimensions: Dimensions, dtype: Arithmetic, slots: number, longest: number) {
    this.#dimensions = dimensions;
    this.#dtype = dtype;
    this.#slots = slots;
    this.#longest = longest;
  }

  /** Tokens that a slot holds. */
  get capacity(): number {
    return this.#capacity;
  }

  /**
   * Makes room for `length` tokens a row, in steps, and closes up when most of it is unused: what is behind a row's end is
   * read in every step. Keeps `rows` slots.
   */
  fit(length: number, rows: number): void {
    const wanted = roundUp(length);
    if (wanted <= this.#capacity && 2 * wanted >= this.#capacity) return;
    const { layers, kvHeads, headDim } = this.#dimensions;
    const [from, to, blocks] = [this.#capacity * headDim, wanted * headDim, rows * kvHeads];
    if (wanted <= this.#allocated) {
      for (const { keys, values } of this.#layers)
        for (const data of [keys, values]) spread(data, { from, to, blocks });
    } else {
      // Memory that is never touched costs nothing.
      this.#allocated = Math.max(wanted, Math.min(2 * wanted, roundUp(this.#longest)));
      const size = this.#slots * kvHeads * this.#allocated * headDim;
      const larger = (old?: FloatArray): FloatArray => {
        const data = allocate(this.#dtype, size);
        for (let i = 0; i < blocks; i++) data.set(old!.subarray(i * from, (i + 1) * from), i * to);
        return data;
      };
      this.#layers = Array.from({ length: layers }, (_, l) => ({
        keys: larger(this.#layers[l]?.keys),
        values: larger(this.#layers[l]?.values),
      }));
    }
    this.#capacity = wanted;
    this.#view = undefined;
  }

  /** The first `rows` slots of every layer, uncopied; the same view until the memory is another. */
  view(rows: number): readonly KeysAndValues[] {
    const end = rows * this.#slotSize;
    if (this.#view?.at(0)?.keys.length !== end) {
      this.#view = this.#layers.map(({ keys, values }) => ({
        keys: keys.subarray(0, end),
        values: values.subarray(0, end),
      }));
    }
    return this.#view!;
  }

  /** A sequence out of a prefill into a slot. */
  place(slot: number, present: readonly KeysAndValues[], { row, start, tokens, length }: Stretch): void {
    const { kvHeads, headDim } = this.#dimensions;
    present.forEach((layer, l) => {
      for (let head = 0; head < kvHeads; head++) {
        const from = ((row * kvHeads + head) * tokens + start) * headDim;
        const to = (slot * kvHeads + head) * this.#capacity * headDim;
        this.#layers[l]!.keys.set(layer.keys.subarray(from, from + length * headDim), to);
        this.#layers[l]!.values.set(layer.values.subarray(from, from + length * headDim), to);
      }
    });
  }

  /** So many tokens more for each of the first slots [rows, kvHeads, tokens, headDim], behind the `lengths` that they hold. */
  append(present: readonly KeysAndValues[], lengths: readonly number[], tokens = 1): void {
    present.forEach(({ keys, values }, l) => {
      this.#appendTo(this.#layers[l]!.keys, keys, lengths, tokens);
      this.#appendTo(this.#layers[l]!.values, values, lengths, tokens);
    });
  }

  #appendTo(cache: FloatArray, added: FloatArray, lengths: readonly number[], tokens: number): void {
    const { kvHeads, headDim } = this.#dimensions;
    let from = 0;
    for (let i = 0; i < lengths.length * kvHeads; i++) {
      const to = (i * this.#capacity + lengths[Math.floor(i / kvHeads)]!) * headDim;
      // A loop: a view for each of thousands of short stretches costs more than the copy.
      for (let j = 0; j < tokens * headDim; j++) cache[to + j] = added[from++]!;
    }
  }

  move(from: number, to: number): void {
    const size = this.#slotSize;
    for (const { keys, values } of this.#layers) {
      keys.copyWithin(to * size, from * size, (from + 1) * size);
      values.copyWithin(to * size, from * size, (from + 1) * size);
    }
  }

  get #slotSize(): number {
    const { kvHeads, headDim } = this.#dimensions;
    return kvHeads * this.#capacity * headDim;
  }
}

const roundUp = (length: number): number => Math.ceil(length / STEP) * STEP;

/** Blocks of `from` numbers each to where blocks of `to` numbers begin, within the same memory. */
function spread(data: FloatArray, { from, to, blocks }: { from: number; to: number; blocks: number }): void {
  const length = Math.min(from, to);
  const move = (i: number) => data.copyWithin(i * to, i * from, i * from + length);
  if (to > from) for (let i = blocks - 1; i > 0; i--) move(i);
  else for (let i = 1; i < blocks; i++) move(i);
}
