import type { FloatArray, Weights } from './parameters.js';
import { type Arithmetic, allocate } from './weights.js';

const PREFIX = 'turned/';

/** Of a matrix [out, in], as [in, out], among weights and inputs of graphs. */
export const turnedName = (name: string): string => PREFIX + name;

/** Turned copies of matrices, made when they are first asked for and kept until `forget`. */
export class TurnedWeights {
  readonly #dtype: Arithmetic;
  #made = new WeakMap<Weights, Weights>();

  constructor(dtype: Arithmetic) {
    this.#dtype = dtype;
  }

  /** Adds to `weights` those of `inputs` that are turned. `owner`: the weights that the copies are kept for. */
  addTo(weights: Weights, inputs: readonly string[], owner: Weights): void {
    const made = this.#made.get(owner) ?? new Map();
    this.#made.set(owner, made);
    for (const input of inputs) {
      if (!input.startsWith(PREFIX) || weights.has(input)) continue;
      if (!made.has(input)) {
        const { shape, data } = weights.get(input.slice(PREFIX.length))!;
        const [outs, ins] = shape as [number, number];
        made.set(input, { shape: [ins, outs], data: turned(data, allocate(this.#dtype, data.length), outs, ins) });
      }
      weights.set(input, made.get(input)!);
    }
  }

  /** The weights have changed. */
  forget(): void {
    this.#made = new WeakMap();
  }
}

/** Numbers of a cache line, whose lines at one place of 16 rows lie in a cache together whatever the rows' length. */
const BLOCK = 16;

/** `data` [rows, columns] into `out` [columns, rows]. */
function turned(data: FloatArray, out: FloatArray, rows: number, columns: number): FloatArray {
  for (let row = 0; row < rows; row += BLOCK) {
    const lastRow = Math.min(rows, row + BLOCK);
    for (let column = 0; column < columns; column += BLOCK) {
      const lastColumn = Math.min(columns, column + BLOCK);
      for (let j = column; j < lastColumn; j++)
        for (let i = row; i < lastRow; i++) out[j * rows + i] = data[i * columns + j]!;
    }
  }
  return out;
}
