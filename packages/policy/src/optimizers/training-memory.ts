import type { Weights } from '../parameters.js';
import { type Arithmetic, sizeOf } from '../weights.js';
import type { AdamWStep, AdamWTensor } from './adamw.js';
import { arraysBlock, type Block } from './block.js';
import { bytesOf, wasmBlock } from './wasm-block.js';

/** Most bytes of tensors in one WebAssembly memory, whose addresses end at 4 GiB. */
const BLOCK_BYTES = 3.5 * 2 ** 30;

/**
 * What training reads and writes of the named tensors: parameters, accumulated gradients and both moments. Parameters
 * move in: `weights` holds views of this memory afterwards, and nothing here holds the arrays they came from.
 */
export class TrainingMemory {
  readonly gradients: Weights;
  readonly m: Weights;
  readonly v: Weights;
  readonly #names: readonly string[];
  readonly #blocks: readonly Block[];

  constructor(weights: Weights, names: readonly string[], dtype: Arithmetic, blockBytes = BLOCK_BYTES) {
    this.#names = names;
    const lengths = names.map((name) => sizeOf(weights.get(name)!.shape));
    this.#blocks = dtype === 'float64' ? [arraysBlock(lengths, dtype)] : float32Blocks(lengths, blockBytes);
    const tensors = this.#blocks.flatMap((block) => block.tensors);
    const part = (key: keyof AdamWTensor): Weights =>
      new Map(names.map((name, i) => [name, { shape: weights.get(name)!.shape, data: tensors[i]![key] }]));
    this.gradients = part('gradient');
    this.m = part('m');
    this.v = part('v');
    for (const [i, name] of names.entries()) {
      const { parameter } = tensors[i]!;
      const weight = weights.get(name)!;
      parameter.set(weight.data);
      weight.data = parameter;
    }
  }

  /** Of each accumulated gradient. */
  sumsOfSquares(): number[] {
    return this.#blocks.flatMap((block) => block.sumsOfSquares());
  }

  /** One step of `adamw` for every tensor; gradients are zero afterwards. */
  adamw(decays: ReadonlySet<string>, step: AdamWStep): void {
    let first = 0;
    for (const block of this.#blocks) {
      const names = this.#names.slice(first, first + block.tensors.length);
      first += block.tensors.length;
      block.adamw(
        names.map((name) => decays.has(name)),
        step,
      );
    }
  }
}

/** Neighbours share a memory as far as it goes; a tensor that fits none has arrays of its own. */
function float32Blocks(lengths: readonly number[], blockBytes: number): Block[] {
  const groups: number[][] = [];
  let left = -1;
  for (const length of lengths) {
    const bytes = bytesOf(length);
    if (bytes > left) {
      groups.push([]);
      left = blockBytes;
    }
    groups.at(-1)!.push(length);
    left -= bytes;
  }
  return groups.map((group) => (bytesOf(group[0]!) > blockBytes ? arraysBlock(group, 'float32') : wasmBlock(group)));
}
