import type { ObjectiveInput } from '../input.js';
import type { Objective } from '../objective.js';

/** Logratios of the tokens of a completion: of the chosen one, of the rejected one. */
export type PairLogratios = readonly [chosen: readonly number[], rejected: readonly number[]];

/** Pairs with these logratios. The reference finds each token e^-2 likely. */
export function pairsOf(...pairs: readonly PairLogratios[]): ObjectiveInput {
  const rows = pairs.flat();
  const tokens = Math.max(0, ...rows.map((row) => row.length));
  const cells = <Array>(make: (logratio: number | undefined) => number, from: (values: number[]) => Array) =>
    from(rows.flatMap((row) => Array.from({ length: tokens }, (_, token) => make(row[token]))));
  const floats = (values: number[]) => Float64Array.from(values);
  return {
    rows: rows.length,
    tokens,
    completionMask: cells(
      (logratio) => (logratio === undefined ? 0 : 1),
      (values) => Uint8Array.from(values),
    ),
    policy: { logprobs: cells((logratio = Number.NaN) => logratio - 2, floats) },
    reference: { logprobs: cells(() => -2, floats) },
  };
}

/** The loss of one pair of one-token completions, and its derivatives by the two logratios. */
export function lossOfPair<Options extends object>(
  objective: Objective<Options>,
  [chosen, rejected]: readonly [number, number],
  options?: Partial<Options>,
): [loss: number, chosen: number, rejected: number] {
  const { loss, cotangents } = objective.evaluate(pairsOf([[chosen], [rejected]]), options);
  return [loss, cotangents.logprobs![0]!, cotangents.logprobs![1]!];
}

/** [rows, tokens] by rows. */
export function tableOf(values: Float64Array, { tokens }: Pick<ObjectiveInput, 'tokens'>): number[][] {
  return Array.from({ length: values.length / tokens }, (_, row) => [
    ...values.subarray(row * tokens, (row + 1) * tokens),
  ]);
}
