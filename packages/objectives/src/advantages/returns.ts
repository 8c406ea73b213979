import type { Grid } from '../numerics.js';
import type { Advantages } from './gae.js';
import { type WhitenOptions, whiten } from './whiten.js';

/** [rows, tokens]: Σ_{s >= t} gamma^{s-t} reward_s over the completion tokens of a row, 0 where masked. */
export function discountedReturns(
  { rows, tokens, completionMask }: Grid,
  rewards: Float64Array,
  gamma = 1,
): Float64Array {
  const returns = new Float64Array(rows * tokens);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let at = (row + 1) * tokens - 1; at >= row * tokens; at--) {
      if (!completionMask[at]) continue;
      sum = rewards[at]! + gamma * sum;
      returns[at] = sum;
    }
  }
  return returns;
}

/**
 * REINFORCE++: discounted returns of the tokens' rewards (KL and score), whitened over the batch. Hu 2025,
 * arXiv:2501.03262. `whitening` as `whiten`.
 */
export function reinforcePlusPlus(
  grid: Grid,
  rewards: Float64Array,
  { gamma = 1, ...whitening }: WhitenOptions & { readonly gamma?: number } = {},
): Advantages {
  const returns = discountedReturns(grid, rewards, gamma);
  return { returns, advantages: whiten(returns, grid.completionMask, whitening) };
}

/**
 * ReMax: returns of the tokens' rewards minus a baseline per row, the reward of the greedy completion of the same prompt.
 * Li et al. 2023, arXiv:2310.10505. `baselines` is [rows].
 */
export function remax(grid: Grid, rewards: Float64Array, baselines: Float64Array): Advantages {
  const returns = discountedReturns(grid, rewards);
  const advantages = returns.map((value, at) =>
    grid.completionMask[at] ? value - baselines[Math.floor(at / grid.tokens)]! : 0,
  );
  return { returns, advantages };
}
