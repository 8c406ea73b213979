import { z } from 'zod';
import { klEstimate } from '../estimators/index.js';
import type { Needs } from '../input.js';
import type { Metrics } from '../metrics.js';
import { total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import {
  aggregationOptions,
  aggregator,
  clipOptions,
  clippedSurrogate,
  entropyOptions,
  klOptions,
  klSettings,
  meanOf,
  oldLogprobs,
  type PolicyInput,
  policyNeeds,
  policyNeedsOf,
  ratioOptions,
  rewardClaims,
  sumTerms,
  valueTerm,
} from '../surrogate/index.js';

/**
 * Proximal policy optimisation. Schulman et al. 2017, arXiv:1707.06347, eq. 7 and 9, on completions as Ziegler et al.
 * 2019, arXiv:1909.08593; value clip as OpenAI's baselines. Advantages and returns are given per token: see `gae`.
 *   L = aggregate( max(-A ρ, -A clip(ρ, 1 ± ε)) + valueCoef V-loss - entropyCoef H + beta k ),   ρ = π(y_t)/π_old(y_t)
 *   dL/dlog π(y_t) = -A ρ w, or 0 where clipped;   dL/dV = valueCoef (V - R) w, or 0 where clipped;   dL/dH = -entropyCoef w
 * with w = 1/tokens, or what `aggregation` makes of it. Usually the KL is in the rewards (`shapedRewards`) and beta 0.
 * Defaults: ε 0.2 on both sides and on the value, valueCoef 0.1 (OpenAI, TRL; trlX has 1), mean over tokens.
 * Logged as TRL's PPO does: `policy/approxkl_avg` is k2 of the old policy and the new, `policy/clipfrac_avg` the share of
 * tokens on which the clip binds, `val/ratio` the mean ratio; and the KL from old to new by k1 and k3 besides. All are
 * means over completion tokens; TRL's are over padding as well.
 */
export const ppo = defineObjective({
  name: 'ppo',
  title: 'Proximal policy optimisation',
  summary: 'Raises what did better than expected, by ratios to the sampling policy that are clipped near 1.',
  paper: 'Schulman et al. 2017, arXiv:1707.06347',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: (options) => withValues(policyNeedsOf(options), options),
  claims: rewardClaims,
  claimedAt: klSettings,
  options: {
    ...clipOptions({ low: 0.2, high: 0.2 }),
    ...ratioOptions,
    valueCoef: z.number().min(0).default(0.1).describe('Weight of the value loss; 0: there is no value function.'),
    valueClipRange: z
      .number()
      .min(0)
      .default(0.2)
      .describe('How far a value may move from the old one and still be fitted; 0: any way.'),
    ...entropyOptions,
    ...klOptions(0, 'k2'),
    ...aggregationOptions('tokens'),
  },
  evaluate(input, options) {
    const surrogate = clippedSurrogate(input, { ...options, importance: 'token' });
    const value = valueTerm(input, options, aggregator(input, options));
    const log = { loss: 0, metrics: ratioMetrics(input, options, surrogate), cotangents: {} };
    return sumTerms([surrogate, value, log]);
  },
});

function withValues(
  needs: Needs,
  { valueCoef, valueClipRange }: { readonly valueCoef: number; readonly valueClipRange: number },
): Needs {
  if (valueCoef === 0) return needs;
  return {
    ...needs,
    policy: [...needs.policy, 'values'],
    old: valueClipRange > 0 ? [...(needs.old ?? []), 'values'] : (needs.old ?? []),
    perToken: [...(needs.perToken ?? []), 'returns'],
  };
}

function ratioMetrics(
  input: PolicyInput,
  { onPolicy }: { readonly onPolicy: boolean },
  surrogate: ReturnType<typeof clippedSurrogate>,
): Metrics {
  const { completionMask, policy } = input;
  const old = oldLogprobs(input, onPolicy);
  const ratios = surrogate.details!.ratios!;
  const ones = meanOf(input, Float64Array.from(completionMask));
  const meanKl = (estimator: 'k1' | 'k2' | 'k3') => {
    const values = policy.logprobs.map((logprob, at) =>
      completionMask[at] ? klEstimate(estimator, old[at]! - logprob).value : 0,
    );
    return { sum: total(values), count: ones.count };
  };
  return {
    'policy/clipfrac_avg': surrogate.metrics['clip_ratio/region_mean']!,
    'policy/approxkl_avg': meanKl('k2'),
    'policy/approxkl_k1': meanKl('k1'),
    'policy/approxkl_k3': meanKl('k3'),
    'val/ratio': { sum: total(ratios), count: ones.count },
  };
}
