import { z } from 'zod';
import { forwardKl, pearsonChi2 } from '../divergences/index.js';
import { LARGEST_EXPONENT } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { pathwisePenalty } from '../occupancy/index.js';
import { entropyMetric } from '../pairs.js';

/**
 * The occupancy penalty as its authors trained language models with it. Laidlaw et al. 2024, arXiv:2403.03185, and their
 * code; here so that their runs can be repeated. Formula, clip and control variate: `pathwisePenalty`.
 *   L = klWeight kl + chi2Weight chi2 + sqrtChi2Weight sqrt(max(chi2, floor)),   kl = mean(r + b), chi2 = mean(a + b)
 * It does not descend what it names: on average over samples of the policy the gradient of `chi2` is half that of
 * χ²(π ‖ π_ref) plus that of KL(π_ref ‖ π), that of `kl` is that of KL(π_ref ‖ π), and the root has none at all where chi2 is
 * below `floor`. For what does: `occupancy`, `occupancy-sqrt-chi2`. Their code also charges the KL per token in the rewards
 * while this is in the loss, so that a χ² run pays for both. Defaults: weight of the root 0.0008 in their example script,
 * clip 10, floor 1e-4. The whole step is seen at once. `details`, [rows]: `logratios`, `ratioMinus1` a, `inverseRatioMinus1` b.
 */
export const occupancyPathwise = defineObjective({
  name: 'occupancy-pathwise',
  title: 'Occupancy divergence as published, differentiated through its samples',
  summary: 'The published occupancy penalty, which descends another divergence than it names.',
  paper: 'Laidlaw et al. 2024, arXiv:2403.03185',
  rows: 'single',
  separable: false,
  needs: { policy: ['logprobs'], reference: ['logprobs'] },
  options: {
    klWeight: z.number().min(0).default(0).describe('Weight of the estimate of KL.'),
    chi2Weight: z.number().min(0).default(0).describe('Weight of the estimate of chi-squared.'),
    sqrtChi2Weight: z.number().min(0).default(0.0008).describe('Weight of the root of the estimate of chi-squared.'),
    clip: z
      .number()
      .positive()
      .max(LARGEST_EXPONENT)
      .default(10)
      .describe('Size of a log-ratio beyond which its exponential goes on as its tangent.'),
    floor: z.number().min(0).default(1e-4).describe('What chi-squared is held above before its root is taken.'),
  },
  atReference: ({ sqrtChi2Weight, floor }) => sqrtChi2Weight * Math.sqrt(floor),
  claims: ({ klWeight, chi2Weight, sqrtChi2Weight, floor }) => ({
    descends: {
      formula:
        'klWeight KL(π_ref ‖ π) + (chi2Weight + sqrtChi2Weight/(2 sqrt χ²)) (χ²/2 + KL(π_ref ‖ π)), with the root held',
      variation({ reference }, logprobs) {
        const chi2 = pearsonChi2.exact(logprobs, reference).value;
        const weight = chi2Weight + (chi2 > floor ? sqrtChi2Weight / (2 * Math.sqrt(chi2)) : 0);
        return logprobs.map((logprob, i) => {
          const logratio = logprob - reference[i]!;
          const kl = forwardKl.derivative(logratio);
          return klWeight * kl + weight * (pearsonChi2.derivative(logratio) / 2 + kl);
        });
      },
    },
  }),
  claimedAt: [
    { sqrtChi2Weight: 0, klWeight: 1 },
    { sqrtChi2Weight: 0, chi2Weight: 1 },
  ],
  evaluate(input, options) {
    const { policy, reference, rows } = input;
    const penalty = pathwisePenalty(
      { ...input, logprobs: policy.logprobs, referenceLogprobs: reference.logprobs },
      options,
    );
    const mean = (value: number) => ({ sum: value * rows, count: rows });
    const { loss, slopes, logratios, ratioMinus1, inverseRatioMinus1 } = penalty;
    return {
      loss,
      metrics: {
        'occupancy/kl': mean(penalty.kl),
        'occupancy/chi2': mean(penalty.chi2),
        'occupancy/ratio_clip_fraction': mean(penalty.ratioClipFraction),
        'occupancy/inverse_ratio_clip_fraction': mean(penalty.inverseRatioClipFraction),
        ...entropyMetric(input),
      },
      cotangents: { logprobs: slopes },
      details: { logratios, ratioMinus1, inverseRatioMinus1 },
    };
  },
});
