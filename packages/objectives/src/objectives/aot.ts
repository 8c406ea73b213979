import { z } from 'zod';
import { logisticLoss } from '../margin-losses.js';
import { divisor, rowDifferences, rowSums, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { type PairInput, pairDetails, pairNeeds, pairOptions } from '../pair-objective.js';
import { marginsOf, pairMetrics } from '../pairs.js';

/**
 * Alignment via optimal transport. Melnyk et al. 2024, arXiv:2406.05882, section 3; TRL's `aot` and `aot_unpaired`; label
 * smoothing as in cDPO. L, R: summed log-probabilities under policy and reference; Δ = L - R; (i): i-th smallest of the step.
 *   paired     δ_i = (L_chosen - L_rejected)_(i) - (R_chosen - R_rejected)_(i)
 *   unpaired   δ_i = (Δchosen)_(i) - (Δrejected)_(i)
 *   L = mean over i of (1-ε) softplus(-beta δ_i) + ε softplus(beta δ_i)
 *   dL/dlogπ(y_t) = ± beta/pairs ((1-ε) σ(-beta δ_i) - ε σ(beta δ_i)) mask_t, with i the rank of the row's number
 *                                                                                       - chosen, + rejected
 * One distribution is to dominate the other, quantile by quantile, whichever pairs make them up; `unpaired` needs as many
 * chosen as rejected rows and no pairs. Not separable: it sorts the whole step. TRL sorts each micro-batch. Equal numbers
 * keep the order of their rows. `details`: `losses` in ascending order of the sorted numbers, `order` the pairs in that order,
 * (unpaired: of the chosen side), `rejectedOrder` of the rejected one; the rest in the order of rows.
 */
export const aot = defineObjective({
  name: 'aot',
  title: 'Alignment via optimal transport',
  summary: 'DPO between order statistics: the distribution of chosen is to dominate that of rejected.',
  paper: 'Melnyk et al. 2024, arXiv:2406.05882',
  rows: 'pairs',
  separable: false,
  needs: pairNeeds,
  options: {
    beta: pairOptions.beta(0.01),
    pairing: z
      .enum(['paired', 'unpaired'])
      .default('paired')
      .describe('Sort margins of pairs under policy and reference, or logratios of chosen and of rejected.'),
    labelSmoothing: pairOptions.labelSmoothing(),
  },
  atReference: ({ pairing }) => (pairing === 'paired' ? Math.LN2 : undefined),
  evaluate(input, { beta, pairing, labelSmoothing }) {
    const logratios = rowDifferences(input, input.policy.logprobs, input.reference.logprobs);
    const implicitRewards = logratios.map((logratio) => beta * logratio);
    const { upper, lower } = pairing === 'paired' ? margins(input) : sides(logratios);
    const [order, rejectedOrder] = [ascending(upper), ascending(lower)];
    const ranked = order.map((pair, i) =>
      logisticLoss(beta * (upper[pair]! - lower[rejectedOrder[i]!]!), labelSmoothing),
    );
    const losses = Float64Array.from(ranked, ({ loss }) => loss);
    const pairs = divisor(input.totals.groups);
    const slopes = new Float64Array(input.rows);
    ranked.forEach(({ slope }, i) => {
      const from = pairing === 'paired' ? order[i]! : rejectedOrder[i]!;
      slopes[2 * order[i]!] = (beta * slope) / pairs;
      slopes[2 * from + 1] = (-beta * slope) / pairs;
    });
    return {
      loss: total(losses) / pairs,
      metrics: pairMetrics(input, implicitRewards),
      cotangents: { logprobs: spreadRows(input, slopes) },
      details: {
        losses,
        order: Float64Array.from(order),
        rejectedOrder: Float64Array.from(pairing === 'paired' ? order : rejectedOrder),
        ...pairDetails(input, implicitRewards),
      },
    };
  },
});

interface Sorted {
  readonly upper: Float64Array;
  readonly lower: Float64Array;
}

const margins = (input: PairInput): Sorted => ({
  upper: marginsOf(rowSums(input, input.policy.logprobs)),
  lower: marginsOf(rowSums(input, input.reference.logprobs)),
});

const sides = (perRow: Float64Array): Sorted => ({
  upper: perRow.filter((_, row) => row % 2 === 0),
  lower: perRow.filter((_, row) => row % 2 === 1),
});

/** Indexes from the smallest value to the largest. */
function ascending(values: Float64Array): number[] {
  return Array.from(values.keys()).sort((a, b) => values[a]! - values[b]!);
}
