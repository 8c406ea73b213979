import type { FloatArray, Weights } from './parameters.js';
import { stackedNames } from './stacks.js';
import { type Arithmetic, allocate } from './weights.js';

const PREFIX = 'turned/';

/** Of a matrix [out, in], as [in, out], among weights and inputs of graphs. */
export const turnedName = (name: string): string => PREFIX + name;

/** Turned copies of matrices, made when they are first asked for and kept until their weights change. */
export class TurnedWeights {
  readonly #dtype: Arithmetic;
  readonly #made = new Map<Weights, Weights>();

  constructor(dtype: Arithmetic) {
    this.#dtype = dtype;
  }

  /** Adds to `weights` those of `inputs` that are turned. `owner`: the weights that the copies are kept for. */
  addTo(weights: Weights, inputs: readonly string[], owner: Weights): void {
    const made: Weights = this.#made.get(owner) ?? new Map();
    this.#made.set(owner, made);
    for (const input of inputs) {
      if (!input.startsWith(PREFIX) || weights.has(input)) continue;
      if (!made.has(input)) made.set(input, this.#turned(weights.get(input.slice(PREFIX.length))!));
      weights.set(input, made.get(input)!);
    }
  }

  #turned({ shape, data }: { readonly shape: readonly number[]; readonly data: FloatArray }) {
    const [outs, ins] = shape as [number, number];
    const out = allocate(this.#dtype, data.length);
    turn(data, out, outs, ins);
    return { shape: [ins, outs], data: out };
  }

  /** Weights of these names have changed, whosever they are. */
  forget(names: readonly string[]): void {
    const changed = new Set(names);
    for (const made of this.#made.values()) {
      for (const name of [...made.keys()]) {
        if (stackedNames(name.slice(PREFIX.length)).some((part) => changed.has(part))) made.delete(name);
      }
    }
  }
}

/** Rows and columns at once: a line of the cache each, and few enough lines for any cache. */
const BLOCK = 16;

/** `data` [rows, columns] into `out` [columns, rows]. */
function turn(data: FloatArray, out: FloatArray, rows: number, columns: number): void {
  for (let row = 0; row < rows; row += BLOCK) {
    const lastRow = Math.min(rows, row + BLOCK);
    for (let column = 0; column < columns; column += BLOCK) {
      const lastColumn = Math.min(columns, column + BLOCK);
      for (let j = column; j < lastColumn; j++)
        for (let i = row; i < lastRow; i++) out[j * rows + i] = data[i * columns + j]!;
    }
  }
}
