import type { Inputs } from './case.js';

/** Two tensors [pairs, tokens] as the rows of pairs: [2 pairs, tokens], chosen above rejected, the narrower one widened. */
export function interleavedSides(inputs: Inputs, name: string): Float64Array {
  const [chosen, rejected] = [`chosen_${name}`, `rejected_${name}`];
  const [pairs, width] = inputs.shape(chosen) as [number, number];
  const tokens = Math.max(width, inputs.shape(rejected)[1]!);
  const values = new Float64Array(2 * pairs * tokens);
  for (const [side, of] of [chosen, rejected].entries()) {
    const own = inputs.shape(of)[1]!;
    const numbers = inputs.numbers(of);
    for (let pair = 0; pair < pairs; pair++)
      values.set(numbers.subarray(pair * own, (pair + 1) * own), (2 * pair + side) * tokens);
  }
  return values;
}

/** The grid of the pairs' rows, from `chosen_mask` and `rejected_mask`. */
export function gridOfSides(inputs: Inputs) {
  const completionMask = Uint8Array.from(interleavedSides(inputs, 'mask'));
  const rows = 2 * inputs.shape('chosen_mask')[0]!;
  return { rows, tokens: rows === 0 ? 0 : completionMask.length / rows, completionMask };
}

/** A number per row as chosen and rejected ones. */
export function sidesOf(perRow: Float64Array): { readonly chosen: Float64Array; readonly rejected: Float64Array } {
  return {
    chosen: perRow.filter((_, row) => row % 2 === 0),
    rejected: perRow.filter((_, row) => row % 2 === 1),
  };
}

/** A gradient per row and token as those of the named tensors, each of its own width. */
export function gradientsOfSides(
  inputs: Inputs,
  name: string,
  gradient: Float64Array,
): Readonly<Record<string, Float64Array>> {
  const pairs = inputs.shape(`chosen_${name}`)[0]!;
  const tokens = pairs === 0 ? 0 : gradient.length / (2 * pairs);
  return Object.fromEntries(
    [`chosen_${name}`, `rejected_${name}`].map((of, side) => {
      const own = inputs.shape(of)[1]!;
      const values = new Float64Array(pairs * own);
      for (let pair = 0; pair < pairs; pair++) {
        const from = (2 * pair + side) * tokens;
        values.set(gradient.subarray(from, from + own), pair * own);
      }
      return [of, values];
    }),
  );
}
