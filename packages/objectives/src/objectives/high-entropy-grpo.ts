import { z } from 'zod';
import { defineObjective } from '../objective.js';
import {
  aggregationOptions,
  clipOptions,
  clippedSurrogate,
  highEntropyTokens,
  importanceOptions,
  keptAdvantages,
  keptFraction,
  klOptions,
  policyNeeds,
  policyNeedsOf,
  ratioOptions,
} from '../surrogate/index.js';

/**
 * GRPO on the tokens of highest entropy. Wang et al. 2025, arXiv:2506.01939; `top_entropy_quantile` of TRL.
 *   kept_t = 1 where H_t >= the (1 - topEntropyQuantile)-quantile of H over all completion tokens of the step
 *   L = mean over rows of (1/n) Σ_t [ kept_t max(-A ρ_t, -A clip(ρ_t, 1 ± ε)) + beta k(d_t) ]
 *   dL/dlog π(y_t) = that of GRPO with A = 0 where not kept
 * Dropped tokens still count in n; the KL stays on every token. The quantile is over the whole step, so rows may not be
 * split over micro-batches (TRL takes one of each micro-batch; `onHighEntropy` keeps any other objective to such tokens). Quantiles interpolate. Defaults: 0.2, the paper's "80/20",
 * beta 0. Logs `entropy/kept_fraction`.
 */
export const highEntropyGrpo = defineObjective({
  name: 'high-entropy-grpo',
  title: 'GRPO on the tokens of highest entropy',
  summary: 'Like GRPO, learning only at tokens where the policy hesitates most.',
  paper: 'Wang et al. 2025, arXiv:2506.01939',
  rows: 'single',
  separable: false,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: { ...policyNeeds, policy: ['logprobs', 'entropy'] },
  needsOf: (options) => ({ ...policyNeedsOf(options), policy: ['logprobs', 'entropy'] }),
  options: {
    topEntropyQuantile: z.number().gt(0).max(1).default(0.2).describe('Share of the tokens that is learnt from.'),
    ...clipOptions({ low: 0.2, high: 0.2 }),
    ...ratioOptions,
    ...klOptions(0),
    ...importanceOptions,
    ...aggregationOptions('rows'),
  },
  evaluate(input, { topEntropyQuantile, ...options }) {
    const { policy, perToken } = input;
    const kept = highEntropyTokens(input, policy.entropy, topEntropyQuantile);
    const advantages = keptAdvantages(perToken.advantages, kept);
    const evaluation = clippedSurrogate(
      { ...input, perToken: { ...perToken, advantages } },
      { ...options, entropyCoef: 0 },
    );
    return { ...evaluation, metrics: { ...evaluation.metrics, 'entropy/kept_fraction': keptFraction(input, kept) } };
  },
});
