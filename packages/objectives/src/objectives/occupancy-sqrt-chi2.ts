import { z } from 'zod';
import { pearsonChi2 } from '../divergences/index.js';
import { divisor, LARGEST_EXPONENT, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { importanceEstimate } from '../occupancy/index.js';
import { entropyMetric } from '../pairs.js';

/**
 * Root of the chi-squared divergence of the policy's sequence occupancy from the reference's: what the bound on a proxy's
 * gain asks for. Laidlaw et al. 2024, arXiv:2403.03185, theorem 5.1, by the estimator of `occupancy`.
 *   X = mean over rows of e^i (e^r + e^-r - 2);   L = weight sqrt(X)
 *   dL/dlog π(y_t) = weight/(rows sqrt(X)) e^i (e^r - 1) mask_t;   0 where X is 0
 *   r, i: summed log-ratios to the reference and to the policy that drew the rows
 * X has expected value and gradient of χ²; its root and that root's gradient are consistent, not unbiased: take many rows.
 * X is never negative, so there is no floor under the root, and near the reference the pull does not vanish but keeps its
 * size, as that of a norm does. The whole step is seen at once. Weight: σ~ sqrt(1-r²) by `occupancyCoefficient`; the default
 * is the authors' 0.0008. For r > clip the generator goes on as its tangent (10 as the authors; 300: never).
 * `details`: `values` and `logratios` [rows].
 */
export const occupancySqrtChi2 = defineObjective({
  name: 'occupancy-sqrt-chi2',
  title: 'Root of the occupancy chi-squared, importance-corrected',
  summary: 'Holds the distribution of whole completions to that of the reference as the bound on proxy rewards asks.',
  paper: 'Laidlaw et al. 2024, arXiv:2403.03185',
  rows: 'single',
  separable: false,
  detached: ['logprobs:old'],
  needs: { policy: ['logprobs'], reference: ['logprobs'], old: ['logprobs'] },
  needsOf: ({ onPolicy }) => ({
    policy: ['logprobs'],
    reference: ['logprobs'],
    old: onPolicy ? [] : ['logprobs'],
  }),
  options: {
    weight: z.number().positive().default(0.0008).describe('Weight of the root of chi-squared.'),
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
  claims: ({ weight }) => ({
    descends: {
      formula: `${weight} sqrt χ²(π ‖ π_ref)`,
      variation({ reference }, logprobs) {
        const root = Math.sqrt(pearsonChi2.exact(logprobs, reference).value);
        return logprobs.map((logprob, i) => (weight * pearsonChi2.derivative(logprob - reference[i]!)) / (2 * root));
      },
    },
  }),
  evaluate(input, { weight, clip, onPolicy }) {
    const { values, slopes, logratios, clipped } = importanceEstimate(
      {
        ...input,
        logprobs: input.policy.logprobs,
        referenceLogprobs: input.reference.logprobs,
        oldLogprobs: onPolicy ? input.stopped.logprobs : input.old.logprobs,
      },
      'chi2',
      clip,
    );
    const rows = divisor(input.totals.rows);
    const chi2 = total(values) / rows;
    const root = Math.sqrt(chi2);
    const scale = root === 0 ? 0 : weight / (2 * root * rows);
    return {
      loss: weight * root,
      metrics: {
        'occupancy/divergence': { sum: total(values), count: input.rows },
        'occupancy/clipped_fraction': { sum: clipped, count: input.rows },
        ...entropyMetric(input),
      },
      cotangents: {
        logprobs: spreadRows(
          input,
          slopes.map((slope) => scale * slope),
        ),
      },
      details: { values, logratios },
    };
  },
});
