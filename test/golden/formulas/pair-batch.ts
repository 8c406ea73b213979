import type { ObjectiveInput } from '@kelpie/objectives';
import type { Inputs } from './case.js';
import { pairStack } from './stack.js';

/** A batch of pairs whose sides may differ in width, and the way back from the package's rows to both. */
export interface PairBatch {
  readonly input: ObjectiveInput;
  /** [rows, tokens] to the tensors of both sides. */
  readonly sides: (values: Float64Array, name: string) => Readonly<Record<string, Float64Array>>;
  /** [rows] to [pairs]. */
  readonly chosen: (perRow: Float64Array) => Float64Array;
  readonly rejected: (perRow: Float64Array) => Float64Array;
}

/** Row 2i is chosen, row 2i + 1 rejected, the narrower side widened by masked zeros. */
export function pairBatch(inputs: Inputs): PairBatch {
  const stack = pairStack(inputs);
  const { rows, tokens, completionMask } = stack;
  const both = (name: string) => stack.tensor([`chosen_${name}`, `rejected_${name}`]);
  return {
    input: {
      rows,
      tokens,
      completionMask,
      policy: { logprobs: both('logps'), ...(inputs.has('chosen_log_sq') && { logSumSquares: both('log_sq') }) },
      ...(inputs.has('chosen_ref_logps') && { reference: { logprobs: both('ref_logps') } }),
    },
    sides: (values, name) => ({
      [`chosen_${name}`]: stack.part(values, 0),
      [`rejected_${name}`]: stack.part(values, 1),
    }),
    chosen: (perRow) => stack.perRow(perRow, 0),
    rejected: (perRow) => stack.perRow(perRow, 1),
  };
}

/** A number per row of pairs as chosen and rejected ones. */
export function sidesOf(perRow: Float64Array): { readonly chosen: Float64Array; readonly rejected: Float64Array } {
  return {
    chosen: perRow.filter((_, row) => row % 2 === 0),
    rejected: perRow.filter((_, row) => row % 2 === 1),
  };
}
