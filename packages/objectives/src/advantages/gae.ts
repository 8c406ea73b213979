import type { Grid } from '../numerics.js';

export interface GaeOptions {
  /** Discount a token. Default 1. */
  readonly gamma?: number;
  /** Weight of the longer estimates; 0 trusts the value function, 1 the rewards. Default 0.95. */
  readonly gaeLambda?: number;
  /**
   * What a masked column between two unmasked ones is: `jump` passes over it, the next unmasked value is bootstrapped
   * from (verl; what turns of several speakers need); `zeros` recurses through it with reward and value 0 (TRL, trlX,
   * OpenAI, whose masks have no holes). The same for masks that are a prefix. Default `jump`.
   */
  readonly holes?: 'jump' | 'zeros';
}

export interface Advantages {
  /** [rows, tokens], 0 where masked. */
  readonly advantages: Float64Array;
  /** [rows, tokens]: what the value function is fitted to; 0 where masked. */
  readonly returns: Float64Array;
}

/**
 * Generalised advantage estimation. Schulman et al. 2015, arXiv:1506.02438, eq. 16.
 *   δ_t = r_t + gamma V_{t+1} - V_t,   A_t = δ_t + gamma gaeLambda A_{t+1},   returns = A + V
 * V after the last column is 0. `rewards` and `values` are [rows, tokens]; V_t is the value before token t, read where
 * log π(y_t) is. Returns are those of the advantages before any whitening.
 */
export function gae(
  grid: Grid,
  { rewards, values }: { readonly rewards: Float64Array; readonly values: Float64Array },
  { gamma = 1, gaeLambda = 0.95, holes = 'jump' }: GaeOptions = {},
): Advantages {
  const { rows, tokens, completionMask } = grid;
  const advantages = new Float64Array(rows * tokens);
  const returns = new Float64Array(rows * tokens);
  for (let row = 0; row < rows; row++) {
    let [nextValue, nextAdvantage] = [0, 0];
    for (let at = (row + 1) * tokens - 1; at >= row * tokens; at--) {
      const masked = !completionMask[at];
      if (masked && holes === 'jump') continue;
      const [reward, value] = masked ? [0, 0] : [rewards[at]!, values[at]!];
      nextAdvantage = reward + gamma * nextValue - value + gamma * gaeLambda * nextAdvantage;
      nextValue = value;
      if (masked) continue;
      advantages[at] = nextAdvantage;
      returns[at] = nextAdvantage + value;
    }
  }
  return { advantages, returns };
}
