import { type Claims, negativeReward } from '../claims.js';
import type { Aggregation } from './aggregation.js';
import type { Importance } from './importance.js';

/**
 * On rows of the policy itself every ratio is 1, and the gradient is that of -E_π r where each token of a row counts as
 * every other token of the step does; dividing a row by its own length makes it another one. A KL per token has a
 * gradient that leaves out what a token does to later ones: nothing is claimed of it.
 */
export function rewardClaims({
  aggregation,
  importance = 'token',
  beta = 0,
  entropyCoef = 0,
}: {
  readonly aggregation: Aggregation;
  readonly importance?: Importance;
  readonly beta?: number;
  readonly entropyCoef?: number;
}): Claims {
  if (beta > 0 || entropyCoef > 0) return {};
  // A product of ratios gives each token the sum of its row's slopes: n of them.
  const even = importance === 'row-sum' ? aggregation === 'rows' : aggregation !== 'rows';
  return even ? { descends: negativeReward } : {};
}
