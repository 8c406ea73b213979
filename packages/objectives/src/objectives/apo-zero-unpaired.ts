import { z } from 'zod';
import { rowDifferences, sigmoid } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { evaluateUnpaired, unpairedNeeds } from '../unpaired.js';

/**
 * Anchored preference optimisation, APO-zero, on labelled rows: KTO with the reference point fixed at 0. D'Oosterlinck et
 * al. 2024, arXiv:2408.06266, whose losses are on pairs; each side of the pair's loss by itself, as TRL's KTO trainer has
 * it.
 *   r = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   L = mean over rows of w (1 - σ(β r)) of a desirable row, w σ(β r) of an undesirable one;  w its side's weight
 *   dL/dlogπ(y_t) = ∓ w β σ(β r) σ(-β r)/rows mask_t                    - desirable, + undesirable
 * `details`: `losses`, `implicitRewards`, [rows].
 */
export const apoZeroUnpaired = defineObjective({
  name: 'apo-zero-unpaired',
  title: 'Anchored preference optimisation, unpaired',
  summary: 'Raises desirable completions above the reference and lowers undesirable ones below it.',
  paper: "D'Oosterlinck et al. 2024, arXiv:2408.06266",
  rows: 'unpaired',
  separable: true,
  needs: unpairedNeeds,
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the pull to the reference.'),
    desirableWeight: z.number().min(0).default(1).describe('Weight of the losses of desirable rows.'),
    undesirableWeight: z.number().min(0).default(1).describe('Weight of the losses of undesirable rows.'),
  },
  atReference: ({ desirableWeight, undesirableWeight }) =>
    desirableWeight === undesirableWeight ? desirableWeight / 2 : undefined,
  evaluate(input, { beta, desirableWeight, undesirableWeight }) {
    const { policy, reference } = input;
    const implicitRewards = rowDifferences(input, policy.logprobs, reference.logprobs).map((r) => beta * r);
    return evaluateUnpaired(input, { beta, implicitRewards }, (reward, desirable) => {
      const weight = desirable ? desirableWeight : undesirableWeight;
      const slope = weight * sigmoid(reward) * sigmoid(-reward);
      return desirable ? { loss: weight * sigmoid(-reward), slope: -slope } : { loss: weight * sigmoid(reward), slope };
    });
  },
});
