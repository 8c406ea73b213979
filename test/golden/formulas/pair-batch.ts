import type { ObjectiveInput } from '@kelpie/objectives';
import type { Inputs } from './case.js';

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
  const widths = ['chosen', 'rejected'].map((side) => inputs.shape(`${side}_mask`)[1]!);
  const pairs = inputs.shape('chosen_mask')[0]!;
  const tokens = Math.max(...widths);
  const rows = 2 * pairs;
  const widthOf = (row: number) => widths[row % 2]!;
  const from = (row: number) => Math.floor(row / 2) * widthOf(row);
  const both = (name: string) => {
    const values = new Float64Array(rows * tokens);
    const tensors = [inputs.numbers(`chosen_${name}`), inputs.numbers(`rejected_${name}`)];
    for (let row = 0; row < rows; row++) {
      values.set(tensors[row % 2]!.subarray(from(row), from(row) + widthOf(row)), row * tokens);
    }
    return values;
  };
  const side = (values: Float64Array, parity: number) => {
    const taken = new Float64Array(pairs * widths[parity]!);
    for (let row = parity; row < rows; row += 2) {
      taken.set(values.subarray(row * tokens, row * tokens + widthOf(row)), from(row));
    }
    return taken;
  };
  const every = (parity: number) => (perRow: Float64Array) => perRow.filter((_, row) => row % 2 === parity);
  return {
    input: {
      rows,
      tokens,
      completionMask: Uint8Array.from(both('mask')),
      policy: { logprobs: both('logps') },
      ...(inputs.has('chosen_ref_logps') && { reference: { logprobs: both('ref_logps') } }),
    },
    sides: (values, name) => ({ [`chosen_${name}`]: side(values, 0), [`rejected_${name}`]: side(values, 1) }),
    chosen: every(0),
    rejected: every(1),
  };
}
