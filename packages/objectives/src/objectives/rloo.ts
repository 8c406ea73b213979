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
 * REINFORCE with a leave-one-out baseline. Ahmadian et al. 2024, arXiv:2402.14740; the clip of the ratio, for rows used
 * more than once, is TRL's.
 *   s = π(y)/π_old(y) = exp( Σ_t (log π(y_t) - log π_old(y_t)) )          the product over tokens, not their mean
 *   L = mean over rows of max(-A s, -A clip(s, 1 ± ε))
 *   dL/dlog π(y_t) = -A s/rows, or 0 on the whole row where clipped
 * On policy, s = 1: REINFORCE on whole completions. Advantages: `leaveOneOut`, of rewards less beta times the sequence's
 * log-ratio to the reference (`sequenceRewards`); so there is no KL in the loss by default. Defaults: ε 0.2 (TRL).
 */
export const rloo = defineObjective({
  name: 'rloo',
  title: 'REINFORCE leave-one-out',
  summary: 'Raises completions that beat the others of their prompt, by the ratio of the whole completion, clipped.',
  paper: 'Ahmadian et al. 2024, arXiv:2402.14740',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: policyNeedsOf,
  claims: (options) => rewardClaims({ ...options, aggregation: 'rows', importance: 'row-sum' }),
  claimedAt: klSettings,
  options: {
    ...clipOptions({ low: 0.2, high: 0.2 }),
    ...ratioOptions,
    ...klOptions(0),
    ...entropyOptions,
    ...emptyRowOptions,
  },
  evaluate: (input, options) => clippedSurrogate(input, { ...options, aggregation: 'rows', importance: 'row-sum' }),
});
