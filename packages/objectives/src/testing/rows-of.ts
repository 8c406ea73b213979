import type { ObjectiveInput, RowTable } from '../input.js';

/** Rows of one-token completions. */
export interface OneTokenRows {
  /** log π of each row. Default: -2. */
  readonly logprobs?: readonly number[];
  /** log π - log π_ref; -2 - this is the policy's where `logprobs` is absent. */
  readonly logratios?: readonly number[];
  /** log π - log π_old. Default: 0. */
  readonly oldLogratios?: readonly number[];
  readonly perRow?: { readonly [Field in keyof RowTable]?: readonly number[] };
  readonly advantages?: readonly number[];
  /** 0: an empty completion. */
  readonly lengths?: readonly number[];
}

/** An input whose numbers are all set by hand, a completion being one token. */
export function oneTokenRows({
  logratios = [],
  logprobs = logratios.map(() => -2),
  oldLogratios = logprobs.map(() => 0),
  perRow = {},
  advantages,
  lengths = logprobs.map(() => 1),
}: OneTokenRows): ObjectiveInput {
  const rows = logprobs.length;
  const { labels, groups, rewards, ranks, external } = perRow;
  return {
    rows,
    tokens: 1,
    completionMask: Uint8Array.from(lengths),
    policy: { logprobs: Float64Array.from(logprobs) },
    reference: { logprobs: Float64Array.from(logprobs, (logprob, row) => logprob - (logratios[row] ?? 0)) },
    old: { logprobs: Float64Array.from(logprobs, (logprob, row) => logprob - oldLogratios[row]!) },
    perRow: {
      groups: Int32Array.from({ length: rows }, (_, row) => groups?.[row] ?? 0),
      ...(labels && { labels: Uint8Array.from(labels) }),
      ...(rewards && { rewards: Float64Array.from(rewards) }),
      ...(ranks && { ranks: Int32Array.from(ranks) }),
      ...(external && { external: Uint8Array.from(external) }),
    },
    ...(advantages && { perToken: { advantages: Float64Array.from(advantages) } }),
  };
}
