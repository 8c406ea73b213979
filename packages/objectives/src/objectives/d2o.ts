import { z } from 'zod';
import { rowsByGroup } from '../advantages/index.js';
import { logisticLoss } from '../margin-losses.js';
import { divisor, rowDifferences, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';

/**
 * Distributional dispreference optimisation: only what is bad is labelled. Duan et al. 2024, arXiv:2403.03419. The
 * formula is as a third party's code tells it; the authors' was not at hand, nor their constants: 0.1 and 0.1 are the
 * third party's.
 *   z = beta/K Σ_k log(π(y_k)/π_-(y_k)) - alpha log(π(y_l)/π_+(y_l))
 *   L = mean over groups of softplus(-z)
 *   dL/dlogπ(y_t) = -(beta/K) σ(-z) mask_t/groups for each anchor,  +alpha σ(-z) mask_t/groups for the negative
 * A group is one prompt: K anchors that the policy wrote itself (`perRow.labels` 1) and the dispreferred completion
 * (0); several of those are averaged, as the anchors are. `reference.logprobs` of an anchor are those of the harmful
 * model π_-, of a negative those of the helpful one π_+; where one reference serves as both, they are its own. A group
 * that lacks one kind tells nothing: 0, and it counts in the mean. `details`: `losses` and `logits` [groups],
 * `logratios` [rows].
 */
export const d2o = defineObjective({
  name: 'd2o',
  title: 'Distributional dispreference optimisation',
  summary: 'Lowers completions known to be bad against the average of completions that the policy wrote itself.',
  paper: 'Duan et al. 2024, arXiv:2403.03419',
  rows: 'groups',
  separable: true,
  needs: { policy: ['logprobs'], reference: ['logprobs'], perRow: ['groups', 'labels'] },
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the mean logratio of the anchors.'),
    alpha: z.number().min(0).default(0.1).describe('Weight of the logratio of the dispreferred completion.'),
  },
  evaluate(input, { beta, alpha }) {
    const { groups, labels } = input.perRow;
    const logratios = rowDifferences(input, input.policy.logprobs, input.reference.logprobs);
    const step = divisor(input.totals.groups);
    const slopes = new Float64Array(input.rows);
    const each = rowsByGroup(groups).map((rows) => {
      const anchors = rows.filter((row) => labels[row] === 1);
      const negatives = rows.filter((row) => labels[row] !== 1);
      if (anchors.length === 0 || negatives.length === 0) return { loss: 0, logit: 0, told: 0, right: 0 };
      const mean = (of: readonly number[]) => of.reduce((sum, row) => sum + logratios[row]!, 0) / of.length;
      const logit = beta * mean(anchors) - alpha * mean(negatives);
      const { loss, slope } = logisticLoss(logit);
      for (const row of anchors) slopes[row] = (beta * slope) / anchors.length / step;
      for (const row of negatives) slopes[row] = (-alpha * slope) / negatives.length / step;
      return { loss, logit, told: 1, right: logit > 0 ? 1 : 0 };
    });
    const losses = Float64Array.from(each, ({ loss }) => loss);
    const side = (label: number) => {
      const taken = logratios.filter((_, row) => (labels[row] === 1 ? 1 : 0) === label);
      return { sum: total(taken), count: taken.length };
    };
    return {
      loss: total(losses) / step,
      metrics: {
        'logratios/anchors': side(1),
        'logratios/negatives': side(0),
        'rewards/accuracies': {
          sum: each.reduce((sum, { right }) => sum + right, 0),
          count: each.reduce((sum, { told }) => sum + told, 0),
        },
        ...entropyMetric(input),
      },
      cotangents: { logprobs: spreadRows(input, slopes) },
      details: { losses, logits: Float64Array.from(each, ({ logit }) => logit), logratios },
    };
  },
});
