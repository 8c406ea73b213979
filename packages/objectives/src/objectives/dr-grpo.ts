import { defineObjective } from '../objective.js';
import {
  budgetOptions,
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
 * GRPO without its two biases. Liu et al. 2025, arXiv:2503.20783, section 3.2.
 *   L = 1/(rows · tokenBudget) Σ [ max(-A ρ_t, -A clip(ρ_t, 1 ± ε)) + beta k(d_t) ]
 *   dL/dlog π(y_t) = (-A ρ_t + beta k'(d_t))/(rows · tokenBudget), the first part 0 where clipped
 * A row counts by its sum, so that neither short right answers nor long wrong ones are favoured; advantages are
 * `groupMean`, without a deviation. Defaults: ε 0.2, beta 0, and the authors' generation budget of 3000 tokens (TRL:
 * `max_completion_length`).
 */
export const drGrpo = defineObjective({
  name: 'dr-grpo',
  title: 'Dr. GRPO: GRPO done right',
  summary: 'Like GRPO, with neither a length nor a deviation in any divisor.',
  paper: 'Liu et al. 2025, arXiv:2503.20783',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: policyNeedsOf,
  claims: (options) => rewardClaims({ ...options, aggregation: 'constant' }),
  claimedAt: klSettings,
  options: {
    ...clipOptions({ low: 0.2, high: 0.2 }),
    ...ratioOptions,
    ...klOptions(0),
    ...entropyOptions,
    ...emptyRowOptions,
    ...budgetOptions(3000),
  },
  evaluate: (input, options) => clippedSurrogate(input, { ...options, aggregation: 'constant', importance: 'token' }),
});
