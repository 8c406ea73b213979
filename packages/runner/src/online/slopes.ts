import { countTotals, type Objective, rowLengths, type Scores } from '@kelpie/objectives';

/** How an objective weighs the tokens of a step: a mean, and a factor before it. */
export interface TokenMean {
  readonly aggregation: 'tokens' | 'rows' | 'sums';
  readonly scale: number;
}

/** Two completions of 1 and 4 tokens. */
const grid = { rows: 2, tokens: 4, completionMask: Uint8Array.of(1, 0, 0, 0, 1, 1, 1, 1) };

/**
 * What advantages are averaged by: read off the slopes -dL/dlog π(y_t) of two completions of 1 and n tokens, advantage 1
 * everywhere and ratio 1. Equal slopes of 1/(n + 1) are a mean over tokens, other equal ones a mean of sums, and slopes as n to
 * 1 a mean of means. Of an objective that reads no advantages: over tokens, as a likelihood's is.
 */
export function tokenMeanOf(objective: Objective, options: Readonly<Record<string, unknown>>): TokenMean {
  const needs = objective.needsOf(options);
  if (!needs.perToken?.includes('advantages')) {
    return { aggregation: needs.perRow?.includes('targetLogScores') ? 'sums' : 'tokens', scale: 1 };
  }
  const scores = (names: readonly string[] = []): Scores =>
    Object.fromEntries(names.map((name) => [name, Float64Array.from(grid.completionMask, (bit) => -bit)]));
  const { cotangents } = objective.evaluate(
    {
      ...grid,
      policy: scores(needs.policy),
      reference: scores(needs.reference),
      old: scores(needs.old),
      perRow: { rewards: Float64Array.of(1, 1) },
      perToken: Object.fromEntries(
        (needs.perToken ?? []).map((name) => [name, Float64Array.from(grid.completionMask)]),
      ),
      totals: countTotals(objective.rows, grid),
    },
    options,
  );
  const [short, long] = [-cotangents.logprobs![0]!, -cotangents.logprobs![grid.tokens]!];
  const [, length] = rowLengths(grid);
  const alike = (a: number, b: number) => Math.abs(a - b) <= 1e-9 * Math.abs(b);
  if (alike(short, 1 / (1 + length!)) && alike(long, short)) return { aggregation: 'tokens', scale: 1 };
  return { aggregation: alike(long, short) ? 'sums' : 'rows', scale: short * grid.rows };
}
