import { defineObjective } from '../objective.js';
import {
  aggregationOptions,
  clipOptions,
  clippedSurrogate,
  entropyOptions,
  importanceOptions,
  klOptions,
  klSettings,
  policyNeeds,
  policyNeedsOf,
  ratioOptions,
  rewardClaims,
} from '../surrogate/index.js';

/**
 * Group relative policy optimisation. Shao et al. 2024, arXiv:2402.03300, eq. 3.
 *   L = mean over rows of (1/n) Σ_t [ max(-A ρ_t, -A clip(ρ_t, 1 ± ε)) + beta k3(d_t) ]
 *   ρ_t = π(y_t)/π_old(y_t),  d_t = log π(y_t) - log π_ref(y_t),  A the same on every token of a row: `groupStd`
 *   dL/dlog π(y_t) = (-A ρ_t + beta (1 - e^-d_t))/(n rows), the first part 0 where clipped
 * The mean over rows of row means is the published one; TRL's default is the token mean of `dapo`. As published k3 is
 * trained on, whose gradient on samples of the policy is that of KL(reference ‖ policy), not of the KL it estimates:
 * `klEstimator: 'k2'` or `'k3+'` descends KL(policy ‖ reference). Defaults: ε 0.2 and beta 0.04 as DeepSeekMath; TRL has
 * beta 0, R1 beta 0.001 and ε 10.
 */
export const grpo = defineObjective({
  name: 'grpo',
  title: 'Group relative policy optimisation',
  summary: 'Raises completions that beat the mean of their prompt, by clipped ratios to the sampling policy.',
  paper: 'Shao et al. 2024, arXiv:2402.03300',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: policyNeedsOf,
  claims: rewardClaims,
  claimedAt: klSettings,
  options: {
    ...clipOptions({ low: 0.2, high: 0.2 }),
    ...ratioOptions,
    ...importanceOptions,
    ...klOptions(0.04),
    ...entropyOptions,
    ...aggregationOptions('rows'),
  },
  evaluate: (input, options) => clippedSurrogate(input, options),
});
