import type { FloatArray, Weights } from './parameters.js';
import { type Arithmetic, allocate } from './weights.js';

/** Names of matrices [out, in] that take the same input: one below the other they are one matrix and one product. */
export type Stack = readonly string[];

/** The stack's name among weights and inputs of graphs. */
export const stackName = (names: Stack): string => names.join(SEPARATOR);

/** What a stack's name, or a matrix's own, stands for. */
export const stackedNames = (name: string): Stack => name.split(SEPARATOR);

const SEPARATOR = ' | ';

/**
 * Moves the weights of each stack next to each other in memory, where `stacked` need not copy them. Those that are trained
 * lie so already: in the order of the parameters, without gaps where sizes are multiples of 16 (see `wasmBlock`).
 */
export function moveTogether(weights: Weights, stacks: readonly Stack[], dtype: Arithmetic): void {
  for (const names of stacks) {
    const parts = names.map((name) => weights.get(name)!);
    const all = joined(parts, dtype);
    let at = 0;
    for (const part of parts) {
      const { length } = part.data;
      part.data = all.subarray(at, at + length);
      at += length;
    }
  }
}

/** The weights and with them each stack as one matrix: a view where its parts lie next to each other, else a copy. */
export function stacked(weights: Weights, stacks: readonly Stack[], dtype: Arithmetic): Weights {
  const all: Weights = new Map(weights);
  for (const names of stacks) {
    const parts = names.map((name) => weights.get(name)!);
    const [{ shape, data }] = parts as [(typeof parts)[number]];
    let end = data.byteOffset;
    const together = parts.every((part) => {
      const next = part.data.buffer === data.buffer && part.data.byteOffset === end;
      end += part.data.byteLength;
      return next;
    });
    const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
    all.set(stackName(names), {
      shape: [rows, ...shape.slice(1)],
      data: together ? viewOf(data, sizeOfAll(parts)) : joined(parts, dtype),
    });
  }
  return all;
}

function viewOf(data: FloatArray, size: number): FloatArray {
  return data instanceof Float64Array
    ? new Float64Array(data.buffer, data.byteOffset, size)
    : new Float32Array(data.buffer, data.byteOffset, size);
}

type Parts = readonly { readonly data: FloatArray }[];

const sizeOfAll = (parts: Parts): number => parts.reduce((sum, { data }) => sum + data.length, 0);

function joined(parts: Parts, dtype: Arithmetic): FloatArray {
  const all = allocate(dtype, sizeOfAll(parts));
  let at = 0;
  for (const { data } of parts) {
    all.set(data, at);
    at += data.length;
  }
  return all;
}
