import { z } from 'zod';
import { logisticLoss } from '../margin-losses.js';
import { divisor, rowDifferences, rowSums, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { pairDetails, pairNeeds } from '../pair-objective.js';
import { interleave, marginsOf, pairMetrics } from '../pairs.js';

/**
 * DPO that takes the reference's margin only where it agrees with the pair (HyPO of its authors, not that of on-policy
 * KL: see `hypo`). 2026, arXiv:2602.11902. The formula is that of the paper's abstract; no code of theirs was at hand.
 *   z = beta (L_chosen - L_rejected - max(0, R_chosen - R_rejected)),  L, R: summed under policy, reference
 *   L = mean over pairs of softplus(-z);   dL/dlogπ(y_t) = ∓ beta σ(-z) mask_t/pairs        - chosen, + rejected
 * DPO's z where the reference prefers chosen; where it prefers rejected, DPO is content with a policy that does so
 * less, and this asks for one that does not. `details`: `losses`, `referenceMargins` (unclipped), `logits` z and
 * `margins` [pairs]; `implicitRewards` and `sequenceLogprobs` [rows].
 */
export const hybridDpo = defineObjective({
  name: 'hybrid-dpo',
  title: 'Hybrid DPO',
  summary: 'DPO whose reference margin counts only where the reference prefers the chosen completion.',
  paper: 'arXiv:2602.11902 (2026)',
  rows: 'pairs',
  separable: true,
  needs: pairNeeds,
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the margin.'),
  },
  evaluate(input, { beta }) {
    const implicitRewards = rowDifferences(input, input.policy.logprobs, input.reference.logprobs).map(
      (logratio) => beta * logratio,
    );
    const referenceMargins = marginsOf(rowSums(input, input.reference.logprobs));
    const policyMargins = marginsOf(rowSums(input, input.policy.logprobs));
    const logits = policyMargins.map((margin, pair) => beta * (margin - Math.max(0, referenceMargins[pair]!)));
    const pairs = divisor(input.totals.groups);
    const each = Array.from(logits, (logit) => logisticLoss(logit));
    const losses = Float64Array.from(each, ({ loss }) => loss);
    const slopes = interleave(losses.length, (pair) => {
      const slope = (beta * each[pair]!.slope) / pairs;
      return { chosen: slope, rejected: -slope };
    });
    return {
      loss: total(losses) / pairs,
      metrics: pairMetrics(input, implicitRewards),
      cotangents: { logprobs: spreadRows(input, slopes) },
      details: { losses, referenceMargins, logits, ...pairDetails(input, implicitRewards) },
    };
  },
});
