import { type Arithmetic, allocate } from '../weights.js';
import { type AdamWStep, type AdamWTensor, adamw, sumOfSquares } from './adamw.js';

/** Trained tensors, all zero at first, with the optimizer's arithmetic over them. */
export interface Block {
  readonly tensors: readonly AdamWTensor[];
  /** Of each gradient, its numbers in order. */
  sumsOfSquares(): number[];
  /** One step of `adamw` for every tensor; gradients are zero afterwards. */
  adamw(decays: readonly boolean[], step: AdamWStep): void;
}

/** Tensors of the given lengths in arrays of their own. */
export function arraysBlock(lengths: readonly number[], dtype: Arithmetic): Block {
  const tensors = lengths.map((length) => {
    const array = () => allocate(dtype, length);
    return { parameter: array(), gradient: array(), m: array(), v: array() };
  });
  return {
    tensors,
    sumsOfSquares: () => tensors.map(({ gradient }) => sumOfSquares(gradient)),
    adamw: (decays, step) => {
      for (const [i, tensor] of tensors.entries()) adamw(tensor, decays[i]!, step);
    },
  };
}
