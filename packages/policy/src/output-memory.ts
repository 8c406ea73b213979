import { type Graph, sizeOf } from '@kelpie/onnx';
import { Tensor } from 'onnxruntime-node';

/** How the numbers of an output are held; outputs of other types are none of ours. */
const ARRAYS: Readonly<Record<string, typeof Float32Array | typeof Float64Array | typeof BigInt64Array>> = {
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
};

/** Bytes of a run's outputs from which on they get memory beforehand: to keep the binding from copying costs something, too. */
const FROM = 2 ** 21;

/** Memory for a graph's outputs, whose sizes follow from those of its inputs. */
export class OutputMemory {
  readonly #outputs: Graph['outputs'];
  /** Where the number that a symbol stands for is read. */
  readonly #places = new Map<string, { readonly input: string; readonly axis: number }>();

  constructor({ inputs, outputs }: Graph) {
    this.#outputs = outputs;
    for (const { name, shape } of inputs) {
      for (const [axis, dim] of shape.entries()) {
        if (typeof dim === 'string' && !this.#places.has(dim)) this.#places.set(dim, { input: name, axis });
      }
    }
  }

  /**
   * A tensor for each output, those of `fetches` among them.
   *
   * @param given the run's inputs.
   * @returns undefined where a size is not known before the run, or all of them together are small.
   */
  of(
    given: Readonly<Record<string, Tensor>>,
    fetches: ReadonlyMap<string, Tensor>,
  ): Readonly<Record<string, Tensor>> | undefined {
    const sizes: Record<string, number> = {};
    for (const [symbol, { input, axis }] of this.#places) sizes[symbol] = given[input]!.dims[axis]!;
    let bytes = 0;
    const memory: (() => readonly [string, Tensor])[] = [];
    for (const { name, dtype, shape } of this.#outputs) {
      const fetched = fetches.get(name);
      const dims = fetched?.dims ?? shape.map((dim) => sizeOf(dim, sizes));
      const Numbers = ARRAYS[dtype];
      if (Numbers === undefined || !dims.every((size) => size !== undefined)) return undefined;
      const length = dims.reduce((a, b) => a * b, 1);
      bytes += length * Numbers.BYTES_PER_ELEMENT;
      memory.push(() => [name, fetched ?? new Tensor(dtype as Tensor.Type, new Numbers(length), dims)]);
    }
    return bytes >= FROM ? Object.fromEntries(memory.map((make) => make())) : undefined;
  }
}
