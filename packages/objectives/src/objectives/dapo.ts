import { defineObjective } from '../objective.js';
import {
  clipOptions,
  clippedSurrogate,
  entropyOptions,
  klOptions,
  klSettings,
  policyNeeds,
  policyNeedsOf,
  ratioOptions,
  rewardClaims,
} from '../surrogate/index.js';

/**
 * Decoupled clip and dynamic sampling policy optimisation. Yu et al. 2025, arXiv:2503.14476, eq. 8.
 *   L = (1/tokens) Σ max(-A ρ_t, -A clip(ρ_t, 1 - ε_low, 1 + ε_high)),   ρ_t = π(y_t)/π_old(y_t)
 *   dL/dlog π(y_t) = -A ρ_t/tokens, or 0 where clipped
 * The mean is over the tokens of the whole step, however it is split. Advantages: `groupStd`. The other parts of the
 * method stand elsewhere: `overlongPenalty`, `informativeRows` for its dynamic sampling, masks of truncated completions.
 * Defaults: ε 0.2 below and 0.28 above, no KL. TRL's `loss_type: "dapo"` has ε 0.2 on both sides by default.
 */
export const dapo = defineObjective({
  name: 'dapo',
  title: 'DAPO: decoupled clip, mean over all tokens',
  summary: 'Like GRPO, with more room upward than downward, and every token of the step weighing the same.',
  paper: 'Yu et al. 2025, arXiv:2503.14476',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: policyNeedsOf,
  claims: (options) => rewardClaims({ ...options, aggregation: 'tokens' }),
  claimedAt: klSettings,
  options: {
    ...clipOptions({ low: 0.2, high: 0.28 }),
    ...ratioOptions,
    ...klOptions(0),
    ...entropyOptions,
  },
  evaluate: (input, options) => clippedSurrogate(input, { ...options, aggregation: 'tokens', importance: 'token' }),
});
