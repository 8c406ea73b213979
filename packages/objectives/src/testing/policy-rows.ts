import type { ObjectiveInput, Scores } from '../input.js';

export interface PolicyRows {
  /** log π - log π_old by row and token; rows may differ in length. */
  readonly logRatios: readonly (readonly number[])[];
  /** One a row, on each of its tokens. */
  readonly advantages?: readonly number[];
  /** log π - log π_ref by row and token. Absent: there is no reference. */
  readonly referenceLogRatios?: readonly (readonly number[])[];
  readonly rewards?: readonly number[];
  /** By row. Absent: all one group. */
  readonly groups?: readonly number[];
  /** By row and token. */
  readonly entropy?: readonly (readonly number[])[];
  readonly oldEntropy?: readonly (readonly number[])[];
}

/** Rows of a policy whose log-probabilities are all -2, the others' set apart from them. */
export function policyRows(given: PolicyRows): ObjectiveInput {
  const { logRatios, advantages = logRatios.map(() => 1), referenceLogRatios, rewards, groups } = given;
  const rows = logRatios.length;
  const tokens = Math.max(1, ...logRatios.map((row) => row.length));
  const cells = (of: (row: number, token: number) => number | undefined) =>
    Float64Array.from({ length: rows * tokens }, (_, at) => of(Math.floor(at / tokens), at % tokens) ?? 0);
  const scores = (entropy: PolicyRows['entropy']): Scores =>
    entropy ? { entropy: cells((row, token) => entropy[row]![token]) } : {};
  return {
    rows,
    tokens,
    completionMask: Uint8Array.from(cells((row, token) => (token < logRatios[row]!.length ? 1 : 0))),
    policy: { logprobs: cells(() => -2), ...scores(given.entropy) },
    old: { logprobs: cells((row, token) => -2 - (logRatios[row]![token] ?? 0)), ...scores(given.oldEntropy) },
    ...(referenceLogRatios && {
      reference: { logprobs: cells((row, token) => -2 - (referenceLogRatios[row]![token] ?? 0)) },
    }),
    perRow: {
      groups: Int32Array.from({ length: rows }, (_, row) => groups?.[row] ?? 0),
      ...(rewards && { rewards: Float64Array.from(rewards) }),
    },
    perToken: { advantages: cells((row) => advantages[row]) },
  };
}
