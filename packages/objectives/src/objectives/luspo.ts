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
 * Length-unbiased sequence policy optimisation: GSPO with each row's loss times its length. Liu et al. 2026,
 * arXiv:2602.05261, as the `luspo` loss type of TRL with sequence-level ratios.
 *   s = exp( mean_t (log π(y_t) - log π_old(y_t)) )
 *   L = mean over rows of Σ_t [ max(-A s, -A clip(s, 1 ± ε)) + beta k(d_t) ]
 *   dL/dlog π(y_t) = (-A s + beta k'(d_t))/rows, the first part 0 on the whole row where clipped
 * Without the factor n a long completion moves its tokens less than a short one does. Defaults: GSPO's ε, beta 0.
 */
export const luspo = defineObjective({
  name: 'luspo',
  title: 'Length-unbiased sequence policy optimisation',
  summary: 'Like GSPO, with each completion weighing as much as it has tokens.',
  paper: 'Liu et al. 2026, arXiv:2602.05261',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: policyNeedsOf,
  claims: (options) => rewardClaims({ ...options, aggregation: 'sums', importance: 'row-mean' }),
  claimedAt: klSettings,
  options: {
    ...clipOptions({ low: 3e-4, high: 4e-4 }),
    ...ratioOptions,
    ...klOptions(0),
    ...entropyOptions,
    ...emptyRowOptions,
  },
  evaluate: (input, options) => clippedSurrogate(input, { ...options, aggregation: 'sums', importance: 'row-mean' }),
});
