import { defineObjective } from '../objective.js';
import {
  clipOptions,
  clippedSurrogate,
  emptyRowOptions,
  entropyOptions,
  klOptions,
  klSettings,
  policyNeeds,
  policyNeedsOf,
  ratioOptions,
  rewardClaims,
} from '../surrogate/index.js';

/**
 * Group sequence policy optimisation. Zheng et al. 2025, arXiv:2507.18071, eq. 5 and 7.
 *   s = (π(y)/π_old(y))^(1/n) = exp( mean_t (log π(y_t) - log π_old(y_t)) )
 *   L = mean over rows of max(-A s, -A clip(s, 1 - ε_low, 1 + ε_high))
 *   dL/dlog π(y_t) = -A s/(n rows), or 0 on the whole row where clipped
 * An empty completion has s = 1 and loss 0. Advantages: `groupStd`. Defaults of the authors: ε 3e-4 below and 4e-4 above,
 * no KL. A KL, if any, is per token, averaged over each row and then over rows.
 */
export const gspo = defineObjective({
  name: 'gspo',
  title: 'Group sequence policy optimisation',
  summary: 'Like GRPO, with one ratio a completion, the geometric mean over its tokens.',
  paper: 'Zheng et al. 2025, arXiv:2507.18071',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: policyNeedsOf,
  claims: (options) => rewardClaims({ ...options, aggregation: 'rows', importance: 'row-mean' }),
  claimedAt: klSettings,
  options: {
    ...clipOptions({ low: 3e-4, high: 4e-4 }),
    ...ratioOptions,
    ...klOptions(0),
    ...entropyOptions,
    ...emptyRowOptions,
  },
  evaluate: (input, options) => clippedSurrogate(input, { ...options, aggregation: 'rows', importance: 'row-mean' }),
});
