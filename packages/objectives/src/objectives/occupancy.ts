import { z } from 'zod';
import { divergenceDescent, sumOfDescents } from '../claims.js';
import { divisor, LARGEST_EXPONENT, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { generatorOf } from '../occupancy/divergences.js';
import { importanceEstimate } from '../occupancy/index.js';
import { entropyMetric } from '../pairs.js';

/**
 * Divergence of the policy's sequence occupancy from the reference's, estimated without bias in value and gradient. The
 * penalty of Laidlaw et al. 2024, arXiv:2403.03185, made to descend what it names: the authors' own is `occupancy-pathwise`.
 *   r = Σ_t mask_t (log π(y_t) - log π_ref(y_t)),  i = Σ_t mask_t (log π(y_t) - log π_old(y_t)),  y drawn from π_old
 *   L = weight · mean over rows of e^i φ(r);   dL/dlog π(y_t) = weight/rows e^i w(r) mask_t
 *   kl     φ = r + e^-r - 1,    w = r                   KL(π ‖ π_ref)
 *   chi2   φ = e^r + e^-r - 2,  w = 2 (e^r - 1)         χ²(π ‖ π_ref)
 *   tv     φ = |1 - e^-r|/2,    w = sign(r)/2           Σ |π - π_ref|/2
 * Over samples of π_old the expected loss is the divergence and the expected gradient its gradient, for any π_old that
 * covers the policy. For r > clip the generator of χ² goes on as its tangent; the authors' 10 is the default, 300 is none.
 * Exponents are held to ±300. A term beside a policy-gradient loss on the same rows (`weighted`); to have it in the rewards
 * instead, `occupancyRewards`. Default weight: none is published for this estimator; 0.0008 was the authors' of the root.
 * `details`: `values` and `logratios` [rows].
 */
export const occupancy = defineObjective({
  name: 'occupancy',
  title: 'Occupancy divergence, importance-corrected',
  summary:
    'Holds the distribution of whole completions to that of the reference, by KL, chi-squared or total variation.',
  paper: 'Laidlaw et al. 2024, arXiv:2403.03185',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old'],
  needs: { policy: ['logprobs'], reference: ['logprobs'], old: ['logprobs'] },
  needsOf: ({ onPolicy }) => ({
    policy: ['logprobs'],
    reference: ['logprobs'],
    old: onPolicy ? [] : ['logprobs'],
  }),
  options: {
    divergence: z.enum(['kl', 'chi2', 'tv']).default('chi2').describe('Which divergence from the reference.'),
    weight: z.number().positive().default(0.0008).describe('Weight of the divergence.'),
    clip: z
      .number()
      .positive()
      .max(LARGEST_EXPONENT)
      .default(10)
      .describe('log of the ratio to the reference above which chi-squared goes on as its tangent.'),
    onPolicy: z
      .boolean()
      .default(false)
      .describe('The rows are of the policy as it stands, and no old log-probabilities are read.'),
  },
  atReference: () => 0,
  claims: ({ divergence, weight }) => ({
    descends: sumOfDescents([{ weight, of: divergenceDescent(generatorOf(divergence)) }]),
  }),
  evaluate(input, { divergence, weight, clip, onPolicy }) {
    const { values, slopes, logratios, clipped } = importanceEstimate(
      {
        ...input,
        logprobs: input.policy.logprobs,
        referenceLogprobs: input.reference.logprobs,
        oldLogprobs: onPolicy ? input.stopped.logprobs : input.old.logprobs,
      },
      divergence,
      clip,
    );
    const rows = divisor(input.totals.rows);
    return {
      loss: (weight * total(values)) / rows,
      metrics: {
        'occupancy/divergence': { sum: total(values), count: input.rows },
        'occupancy/clipped_fraction': { sum: clipped, count: input.rows },
        ...entropyMetric(input),
      },
      cotangents: {
        logprobs: spreadRows(
          input,
          slopes.map((slope) => (weight * slope) / rows),
        ),
      },
      details: { values, logratios },
    };
  },
});
