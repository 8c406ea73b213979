import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import { aggregationOptions, aggregator, rewardClaims, weightedTerm } from '../surrogate/index.js';

/**
 * Policy gradient on rows of the policy as it stands. Williams 1992; with advantages of `reinforcePlusPlus` (Hu 2025,
 * arXiv:2501.03262), `remax` (Li et al. 2023, arXiv:2310.10505), `lengthWeighted` (OPO, Hao et al. 2025,
 * arXiv:2505.23585) or `leaveOneOut` it is the loss of those methods.
 *   L = aggregate( -A log π(y_t) );   dL/dlog π(y_t) = -A w
 * with w = 1/rows by default, the sum over each row's tokens: the gradient of the expected reward where A is that of the
 * whole completion. The value of the loss says nothing; its gradient does. Only right on policy: rows used a second time
 * need ratios, as in `ppo`. Linear in the scores.
 */
export const reinforce = defineObjective({
  name: 'reinforce',
  title: 'REINFORCE',
  summary: 'Raises each token by its advantage; for rows of the policy as it stands.',
  paper: 'Williams 1992, Machine Learning 8',
  rows: 'single',
  separable: true,
  linear: true,
  needs: { policy: ['logprobs'], reference: [], perToken: ['advantages'] },
  claims: rewardClaims,
  options: aggregationOptions('sums'),
  evaluate(input, options) {
    const means = aggregator(input, options);
    const { details: _, ...term } = weightedTerm(input, Float64Array.from(input.completionMask), means);
    return { ...term, metrics: { ...term.metrics, ...entropyMetric(input) } };
  },
});
