/** How tokens become a number, by the files' names. */
export const aggregations = {
  token_mean: 'tokens',
  seq_mean_token_mean: 'rows',
  seq_mean_token_sum: 'sums',
  constant: 'constant',
} as const;
export const aggregateNames = Object.keys(aggregations) as (keyof typeof aggregations)[];

/** How the likelihood of chosen rows becomes a number. */
export const reductions = { token_mean: 'tokens', sequence_mean: 'rows', sequence_sum: 'sums' } as const;
export const reductionNames = Object.keys(reductions) as (keyof typeof reductions)[];
