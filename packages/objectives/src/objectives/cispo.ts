import { z } from 'zod';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import {
  aggregator,
  entropyOptions,
  entropyTerm,
  importanceOptions,
  klOptions,
  klSettings,
  klTerm,
  logRatios,
  meanOf,
  oldLogprobs,
  policyNeeds,
  policyNeedsOf,
  ratioOf,
  ratioOptions,
  rewardClaims,
  sumTerms,
  weightedTerm,
} from '../surrogate/index.js';

/**
 * Clipped importance sampling policy optimisation. MiniMax 2025, arXiv:2506.13585, eq. 4 and 5.
 *   L = -(1/tokens) Σ stop(clip(ρ_t, ratioMin, ratioMax)) A log π(y_t),   ρ_t = π(y_t)/π_old(y_t)
 *   dL/dlog π(y_t) = -clip(ρ_t) A/tokens:   a weight is clipped, no token loses its gradient
 * The bounds are of the ratio itself, as in TRL, where `epsilon_high` is that and there is no lower one; verl clips to
 * [1 - ε, 1 + ε]. Defaults: no lower bound, 5 above, no KL. Logs `cispo_clip_ratio`, the share of tokens above the bound
 * with a positive advantage, and details `weights`, [rows, tokens].
 */
export const cispo = defineObjective({
  name: 'cispo',
  title: 'Clipped importance sampling policy optimisation',
  summary: 'Weighs each token by a clipped ratio without gradient, so that no token drops out.',
  paper: 'MiniMax 2025, arXiv:2506.13585',
  rows: 'single',
  separable: true,
  detached: ['logprobs:weight', 'logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: policyNeedsOf,
  // On policy the weight is that of a ratio of 1, the same everywhere.
  claims: (options) => rewardClaims({ ...options, aggregation: 'tokens', importance: 'token' }),
  claimedAt: klSettings,
  options: {
    ratioMin: z.number().min(0).default(0).describe('Least weight of a token.'),
    ratioMax: z.number().positive().default(5).describe('Most weight of a token.'),
    ...ratioOptions,
    ...importanceOptions,
    ...klOptions(0),
    ...entropyOptions,
  },
  evaluate(input, options) {
    const { ratioMin, ratioMax, onPolicy, logRatioClamp, entropyCoef, importance } = options;
    const { completionMask, stopped, perToken } = input;
    const means = aggregator(input, { aggregation: 'tokens' });
    const ratios = logRatios(input, stopped.logprobs, oldLogprobs(input, onPolicy), importance).map((logRatio, at) =>
      completionMask[at] ? ratioOf(logRatio, logRatioClamp).ratio : 0,
    );
    const weights = ratios.map((ratio, at) => (completionMask[at] ? Math.min(Math.max(ratio, ratioMin), ratioMax) : 0));
    const clipped = ratios.map((ratio, at) => Number(ratio > ratioMax && perToken.advantages[at]! > 0));
    const log = { cispo_clip_ratio: meanOf(input, clipped, importance), ...entropyMetric(input) };
    return sumTerms([
      weightedTerm(input, weights, means),
      klTerm(input, options, means),
      entropyTerm(input, entropyCoef, means),
      { loss: 0, metrics: log, cotangents: {} },
    ]);
  },
});
