import { z } from 'zod';
import { divisor, rowDifferences, sigmoid, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { evaluateUnpaired, unpairedNeeds } from '../unpaired.js';

/**
 * Kahneman-Tversky optimisation: desirable and undesirable completions, judged against a reference point. Ethayarajh et
 * al. 2024, arXiv:2402.01306, eq. 8.
 *   r = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   z0 = max(0, mean over mismatched rows of their r), no gradient
 *   v = β (r - z0) of a desirable row, β (z0 - r) of an undesirable one;  w its side's weight
 *   L = mean over rows of w (1 - σ(v))
 *   dL/dlogπ(y_t) = ∓ w β σ(v) σ(-v)/rows mask_t                        - desirable, + undesirable
 * z0 estimates KL(policy ‖ reference) from prompts with the completions of other prompts, `batches.mismatched`: those of
 * the whole step, so that micro-batches add up. TRL takes each micro-batch's own, which is another, noisier estimate; the
 * runner does so where it averages by micro-batch. A mismatched row without tokens counts with r = 0. `details`:
 * `losses`, `implicitRewards` [rows] and `referencePoint` [1], z0 in nats. The paper asks for
 * desirableWeight · desirable rows to be 1 to 4/3 of undesirableWeight · undesirable rows.
 */
export const kto = defineObjective({
  name: 'kto',
  title: 'Kahneman-Tversky optimisation',
  summary: 'Raises desirable completions and lowers undesirable ones, with saturating gains and losses.',
  paper: 'Ethayarajh et al. 2024, arXiv:2402.01306',
  rows: 'unpaired',
  separable: true,
  needs: { ...unpairedNeeds, batches: ['mismatched'] },
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the pull to the reference.'),
    desirableWeight: z.number().min(0).default(1).describe('Weight of the losses of desirable rows.'),
    undesirableWeight: z.number().min(0).default(1).describe('Weight of the losses of undesirable rows.'),
  },
  // Half of the mean weight, which depends on how many rows are desirable.
  atReference: ({ desirableWeight, undesirableWeight }) =>
    desirableWeight === undesirableWeight ? desirableWeight / 2 : undefined,
  evaluate(input, { beta, desirableWeight, undesirableWeight }) {
    const { mismatched } = input.batches;
    const logratios = rowDifferences(mismatched, mismatched.policy.logprobs!, mismatched.reference!.logprobs!);
    const referencePoint = Math.max(0, total(logratios) / divisor(mismatched.rows));
    const evaluation = evaluateUnpaired(
      input,
      {
        beta,
        implicitRewards: rowDifferences(input, input.policy.logprobs, input.reference.logprobs).map((r) => beta * r),
      },
      (reward, desirable) => {
        const gain = desirable ? reward - beta * referencePoint : beta * referencePoint - reward;
        const weight = desirable ? desirableWeight : undesirableWeight;
        const slope = weight * sigmoid(gain) * sigmoid(-gain);
        return { loss: weight * sigmoid(-gain), slope: desirable ? -slope : slope };
      },
    );
    return {
      ...evaluation,
      metrics: { ...evaluation.metrics, kl: { sum: referencePoint * input.rows, count: input.rows } },
      details: { ...evaluation.details, referencePoint: Float64Array.of(referencePoint) },
    };
  },
});
