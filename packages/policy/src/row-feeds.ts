import type { Rotary } from './architecture.js';
import type { Layout } from './layout.js';
import { floatTensor, Tensor } from './sessions.js';
import { type Arithmetic, allocate } from './weights.js';

/** Tables of angles that are kept, at most. */
const TABLES = 64;

/** What a body reads of the rows themselves, beside its weights. */
export class RowFeeds {
  readonly #rotary: Rotary | undefined;
  readonly #dtype: Arithmetic;
  readonly #tables = new Map<string, { cos: Tensor; sin: Tensor }>();

  constructor(rotary: Rotary | undefined, dtype: Arithmetic) {
    this.#rotary = rotary;
    this.#dtype = dtype;
  }

  of(layout: Layout): Map<string, Tensor> {
    const shape = [layout.rows, layout.tokens];
    return new Map([
      ['ids', new Tensor('int64', layout.ids, shape)],
      ['positions', new Tensor('int64', layout.positions, shape)],
      ['ends', new Tensor('int32', layout.ends, shape)],
      ['angles', new Tensor('int64', layout.angles, shape)],
      ['slots', slots(layout.tokens)],
      ...this.rotary(layout.angleLengths, layout.angleRows),
    ]);
  }

  /** cos and sin of every place up to `rows`, for each class of lengths, one below the other. */
  rotary(lengths: readonly number[], rows: number): [string, Tensor][] {
    const rotary = this.#rotary;
    if (rotary === undefined) return [];
    const key = `${rows}/${lengths.map((length) => rotary.classOf(length)).join('/')}`;
    let tables = this.#tables.get(key);
    if (tables === undefined) {
      tables = rotaryTables(
        lengths.map((length) => rotary.frequencies(length)),
        rows,
        rotary.dim / 2,
        this.#dtype,
      );
      if (this.#tables.size >= TABLES) this.#tables.clear();
      this.#tables.set(key, tables);
    }
    return [
      ['rope/cos', tables.cos],
      ['rope/sin', tables.sin],
    ];
  }
}

/** 0, 1 ... length - 1. */
function slots(length: number): Tensor {
  return new Tensor(
    'int32',
    Int32Array.from({ length }, (_, i) => i),
    [length],
  );
}

function rotaryTables(
  classes: readonly { inverseFrequencies: Float64Array; attentionScaling: number }[],
  rows: number,
  half: number,
  dtype: Arithmetic,
): { cos: Tensor; sin: Tensor } {
  const cos = allocate(dtype, classes.length * rows * half);
  const sin = allocate(dtype, classes.length * rows * half);
  classes.forEach(({ inverseFrequencies, attentionScaling }, c) => {
    for (let position = 0; position < rows; position++) {
      const at = (c * rows + position) * half;
      for (let i = 0; i < half; i++) {
        const angle = position * inverseFrequencies[i]!;
        cos[at + i] = Math.cos(angle) * attentionScaling;
        sin[at + i] = Math.sin(angle) * attentionScaling;
      }
    }
  });
  const shape = [classes.length * rows, half];
  return { cos: floatTensor(cos, shape), sin: floatTensor(sin, shape) };
}
