import type { Dimensions } from '../architecture.js';
import { feedsOf } from '../feeds.js';
import { HIDDEN_MASK } from '../model-builder.js';
import type { FloatArray, Weights } from '../parameters.js';
import { floatTensor, type Session, Tensor } from '../sessions.js';
import type { KeysAndValues } from './cache.js';
import { aloneAndFirst } from './turns.js';

/** What of a step is read by its rows. */
interface StepRows {
  readonly ids: readonly number[];
  readonly lengths: readonly number[];
  readonly angles: readonly number[];
  readonly capacity: number;
  readonly cache: readonly KeysAndValues[];
}

/** Tensors of so many rows over one view of the cache; integers and mask are written over from step to step. */
interface Sized {
  readonly cache: readonly KeysAndValues[];
  readonly ids: BigInt64Array;
  readonly positions: BigInt64Array;
  readonly angles: BigInt64Array;
  /** Added to scores [rows, capacity]: hides what the cache does not hold. */
  readonly mask: FloatArray;
  readonly tensors: readonly (readonly [string, Tensor])[];
}

/**
 * What decoding steps read, for one call with the weights as they are: of small models making some dozens of tensors a step
 * takes a tenth of the step.
 */
export class StepFeeds {
  readonly #dimensions: Dimensions;
  readonly #weights = new Map<Session, ReadonlyMap<string, Tensor>>();
  #sized: Sized | undefined;

  constructor(dimensions: Dimensions) {
    this.#dimensions = dimensions;
  }

  of(
    session: Session,
    weights: Weights,
    step: StepRows,
    others: readonly (readonly [string, Tensor])[],
  ): Map<string, Tensor> {
    if (this.#sized?.cache !== step.cache) this.#sized = this.#size(step);
    const { ids, positions, angles, mask, tensors } = this.#sized;
    for (const [row, length] of step.lengths.entries()) {
      ids[row] = BigInt(step.ids[row]!);
      positions[row] = BigInt(length);
      angles[row] = BigInt(step.angles[row]!);
      const start = row * step.capacity;
      mask.fill(0, start, start + length).fill(HIDDEN_MASK, start + length, start + step.capacity);
    }
    let own = this.#weights.get(session);
    if (own === undefined) {
      own = feedsOf(session, weights, []);
      this.#weights.set(session, own);
    }
    return new Map([...own, ...tensors, ...others]);
  }

  #size({ ids: { length: rows }, capacity, cache }: StepRows): Sized {
    const { kvHeads, headDim } = this.#dimensions;
    const [ids, positions, angles] = [0, 1, 2].map(() => new BigInt64Array(rows)) as [
      BigInt64Array,
      BigInt64Array,
      BigInt64Array,
    ];
    const mask =
      cache[0]!.keys instanceof Float64Array ? new Float64Array(rows * capacity) : new Float32Array(rows * capacity);
    const column = (values: BigInt64Array) => new Tensor('int64', values, [rows, 1]);
    const shape = [rows, kvHeads, 1, capacity, headDim];
    const none = floatTensor(cache[0]!.keys.subarray(0, 0), [rows, kvHeads, 1, 0, headDim]);
    return {
      ...{ cache, ids, positions, angles, mask },
      tensors: [
        ...aloneAndFirst('ids', column(ids)),
        ...aloneAndFirst('positions', column(positions)),
        ...aloneAndFirst('angles', column(angles)),
        ['mask', floatTensor(mask, [rows, 1, 1, 1, capacity])],
        ...aloneAndFirst('parts', new Tensor('int64', BigInt64Array.of(BigInt(capacity), 1n), [2])),
        ...cache.flatMap(({ keys, values }, layer): (readonly [string, Tensor])[] => [
          [`keys/${layer}`, floatTensor(keys, shape)],
          [`values/${layer}`, floatTensor(values, shape)],
          ...aloneAndFirst(`recent/keys/${layer}`, none),
          ...aloneAndFirst(`recent/values/${layer}`, none),
        ]),
      ],
    };
  }
}
