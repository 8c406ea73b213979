import { z } from 'zod';
import { defineObjective } from '../objective.js';
import { evaluateScored, policyOnly, referenceFreeOptions, scoredPairs, sequenceScores } from '../reference-free.js';

/**
 * Sequence likelihood calibration with human feedback, SLiC-HF. Zhao et al. 2023, arXiv:2305.10425, eq. 3.
 *   L = mean over pairs of max(0, margin - L_chosen + L_rejected)  +  nllWeight NLL(chosen),  L = Σ_t mask_t log π(y_t)
 *   dL/dlogπ(y_t) = ∓ 1[L_chosen - L_rejected < margin]/pairs mask_t                     - chosen, + rejected
 *                   - nllWeight w mask_t                                                 chosen only
 * The paper's regulariser is the likelihood of a target of its own; here it is that of the chosen side, the usual choice
 * on preference data, and a sum over its tokens as the paper writes it. Defaults of HALOs' configuration: margin 1,
 * weight 0.1. The hinge on logratios of RSO is another loss, of DPO's family.
 */
export const slic = defineObjective({
  name: 'slic',
  title: 'Sequence likelihood calibration',
  summary: 'Holds the log-probability of chosen above that of rejected by a margin, without a reference.',
  paper: 'Zhao et al. 2023, arXiv:2305.10425',
  rows: 'pairs',
  separable: true,
  needs: policyOnly,
  options: {
    margin: z
      .number()
      .default(1)
      .describe('Nats by which chosen is to be likelier than rejected; below 0, by which it may be less likely.'),
    nllWeight: referenceFreeOptions.nllWeight(0.1),
    nllReduction: referenceFreeOptions.nllReduction('sums'),
  },
  evaluate(input, { margin, ...likelihood }) {
    const scores = sequenceScores(input, input.policy.logprobs, false);
    const rewards = { values: scores.logprobs, slopes: scores.slopes };
    const loss = (gap: number) => (gap < margin ? { loss: margin - gap, slope: -1 } : { loss: 0, slope: 0 });
    return evaluateScored(input, scoredPairs(scores, rewards, { shift: 0, loss }), likelihood);
  },
});
