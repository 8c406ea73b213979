import type { Evaluation } from '@kelpie/objectives';
import type { Inputs } from './case.js';

/** Rows of several tensors [..., rows, tokens] in one grid, each widened by masked zeros. */
export class Stack {
  readonly rows: number;
  readonly tokens: number;
  readonly completionMask: Uint8Array;
  readonly #inputs: Inputs;
  readonly #widths: readonly number[];
  readonly #order: readonly (readonly [part: number, row: number])[];

  /** `order` says of which mask, and which of its rows, each row of the grid is. */
  constructor(inputs: Inputs, masks: readonly string[], order: readonly (readonly [part: number, row: number])[]) {
    this.#inputs = inputs;
    this.#widths = masks.map((name) => inputs.shape(name).at(-1)!);
    this.#order = order;
    this.rows = order.length;
    this.tokens = Math.max(0, ...this.#widths);
    this.completionMask = Uint8Array.from(this.tensor(masks));
  }

  /** [rows, tokens], from one tensor a part. */
  tensor(names: readonly string[]): Float64Array {
    return this.stacked(names.map((name) => this.#inputs.numbers(name)));
  }

  /** [rows, tokens], from the numbers of each part. */
  stacked(parts: readonly Float64Array[]): Float64Array {
    const values = new Float64Array(this.rows * this.tokens);
    this.#order.forEach(([part, row], at) => {
      const width = this.#widths[part]!;
      values.set(parts[part]!.subarray(row * width, (row + 1) * width), at * this.tokens);
    });
    return values;
  }

  /** [rows, tokens] as the tensor of one part. */
  part(values: Float64Array, part: number): Float64Array {
    const width = this.#widths[part]!;
    const own = this.#order.flatMap(([of, row], at) => (of === part ? [{ row, at }] : []));
    const taken = new Float64Array(own.length * width);
    for (const { row, at } of own) taken.set(values.subarray(at * this.tokens, at * this.tokens + width), row * width);
    return taken;
  }

  /** [rows] as the numbers of one part. */
  perRow(values: Float64Array, part: number): Float64Array {
    const taken = new Float64Array(this.#order.filter(([of]) => of === part).length);
    this.#order.forEach(([of, row], at) => {
      if (of === part) taken[row] = values[at]!;
    });
    return taken;
  }

  /** 1 on the rows of one part. */
  marks(part: number): Uint8Array {
    return Uint8Array.from(this.#order, ([of]) => (of === part ? 1 : 0));
  }
}

export const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Chosen above rejected, pair after pair: parts 0 and 1. */
export function pairStack(inputs: Inputs, masks = ['chosen_mask', 'rejected_mask']): Stack {
  const pairs = range(inputs.shape(masks[0]!)[0]!);
  return new Stack(
    inputs,
    masks,
    pairs.flatMap((pair) => [[0, pair] as const, [1, pair] as const]),
  );
}

/** [rows]: rows of equal groups, one after another. */
export function groupsOf(rows: number, size: number): Int32Array {
  if (rows % size !== 0) throw new Error(`${rows} rows are no groups of ${size}`);
  return Int32Array.from({ length: rows }, (_, row) => Math.floor(row / size));
}

/** Gradient of `logps`. */
export const gradient = ({ cotangents }: Evaluation) => ({ logps: cotangents.logprobs! });
