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
 * GRPO's loss with the mean over tokens, as the `bnpo` loss type of TRL has it; the name is that of the beta-normalised
 * advantages of Xiao et al. 2025, arXiv:2506.02864, of which TRL took the token mean alone.
 *   L = (1/tokens) Σ [ max(-A ρ_t, -A clip(ρ_t, 1 ± ε)) + beta k(d_t) ]
 *   dL/dlog π(y_t) = (-A ρ_t + beta k'(d_t))/tokens, the first part 0 where clipped
 * The mean is over the tokens of the whole step. TRL takes it over each micro-batch and then over micro-batches, so that
 * the two agree where there is one micro-batch. Defaults: ε 0.2 on both sides, beta 0.
 */
export const bnpo = defineObjective({
  name: 'bnpo',
  title: 'BNPO: GRPO with the mean over all tokens',
  summary: 'Like GRPO, with every token of the step weighing the same.',
  paper: 'loss_type of Hugging Face TRL, after Xiao et al. 2025, arXiv:2506.02864',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: policyNeedsOf,
  claims: (options) => rewardClaims({ ...options, aggregation: 'tokens' }),
  claimedAt: klSettings,
  options: {
    ...clipOptions({ low: 0.2, high: 0.2 }),
    ...ratioOptions,
    ...klOptions(0),
    ...entropyOptions,
  },
  evaluate: (input, options) => clippedSurrogate(input, { ...options, aggregation: 'tokens', importance: 'token' }),
});
