import type { FloatArray } from './parameters.js';
import { type Arithmetic, allocate } from './weights.js';

/**
 * Memory for outputs that are used over and over: the first touch of a fresh page costs more than what is written to it.
 * Each name has memory of its own, as large as was ever asked for.
 */
export class BufferPool {
  readonly #dtype: Arithmetic;
  readonly #free = new Map<string, FloatArray[]>();

  constructor(dtype: Arithmetic) {
    this.#dtype = dtype;
  }

  /** `length` numbers, whatever they are. */
  take(name: string, length: number): FloatArray {
    const buffer = this.#free.get(name)?.pop();
    return (buffer !== undefined && buffer.length >= length ? buffer : allocate(this.#dtype, length)).subarray(
      0,
      length,
    );
  }

  /** What was taken, to be taken again. */
  give(name: string, taken: FloatArray): void {
    const whole = taken instanceof Float64Array ? new Float64Array(taken.buffer) : new Float32Array(taken.buffer);
    const free = this.#free.get(name);
    if (free === undefined) this.#free.set(name, [whole]);
    else free.push(whole);
  }
}
