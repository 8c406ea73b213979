import { z } from 'zod';
import { rowsByGroup } from '../advantages/index.js';
import { divergenceDescent, sumOfDescents } from '../claims.js';
import { reverseKl } from '../divergences/index.js';
import { ObjectiveError } from '../errors.js';
import { logisticLoss } from '../margin-losses.js';
import { divisor, rowDifferences, rowSums, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import { klAdvantages } from '../sampled-kl.js';

/**
 * Hybrid preference optimisation: DPO on offline pairs, KL(π ‖ π_ref) on samples of the policy. Song et al. 2024,
 * arXiv:2406.01462. That the baseline leaves one out is as secondary sources tell it, klWeight 1e-4 from memory.
 *   L = mean over pairs of softplus(-beta (r_chosen - r_rejected)) + klWeight mean over own rows of stopgrad(A_i) L_i
 *   r = Σ_t mask_t (log π(y_t) - log π_ref(y_t)),  L_i = Σ_t mask_t log π(y_t),  A: see `klAdvantages`
 *   dL/dlogπ(y_t) = ∓ beta σ(-z) mask_t/pairs          - chosen, + rejected
 *                   klWeight A_i mask_t/own rows       own rows
 * The expected gradient of the second term is exactly that of KL(π ‖ π_ref); its value is none, and `kl` is logged
 * beside it. `perRow.external` 1 marks offline rows, as many chosen (`labels` 1) as rejected ones in a group, paired in
 * their order; 0 marks samples of the policy, compared within their group. Pairs and samples may stand in one group or
 * in groups of their own. `details`: `losses` [pairs]; `logratios` and `klAdvantages` [rows], 0 on offline rows;
 * `terms` [2]: this input's part of both means, without the weight.
 */
export const hypo = defineObjective({
  name: 'hypo',
  title: 'Hybrid preference optimisation',
  summary: 'DPO on offline pairs, held to the reference by the KL of what the policy itself samples.',
  paper: 'Song et al. 2024, arXiv:2406.01462',
  rows: 'groups',
  separable: true,
  needs: { policy: ['logprobs'], reference: ['logprobs'], perRow: ['groups', 'labels', 'external'] },
  detached: ['logprobs:klAdvantages'],
  options: {
    beta: z.number().positive().default(0.1).describe("Weight of the pull to the reference in DPO's term."),
    klWeight: z.number().min(0).default(1e-4).describe('Weight of the KL on the samples of the policy.'),
  },
  claims: ({ klWeight }) => ({
    descends: {
      ...sumOfDescents([{ weight: klWeight, of: divergenceDescent(reverseKl) }]),
      formula: `${klWeight} KL(π ‖ π_ref), on its own rows`,
      ownRows: true,
    },
  }),
  evaluate(input, { beta, klWeight }) {
    const { groups, labels, external } = input.perRow;
    const logratios = rowDifferences(input, input.policy.logprobs, input.reference.logprobs);
    const pairs = offlinePairs(groups, labels, external);
    const each = pairs.map(([chosen, rejected]) => logisticLoss(beta * (logratios[chosen]! - logratios[rejected]!)));
    const losses = Float64Array.from(each, ({ loss }) => loss);
    const slopes = new Float64Array(input.rows);
    const allPairs = divisor(input.totals.externalRows / 2);
    pairs.forEach(([chosen, rejected], pair) => {
      const slope = (beta * each[pair]!.slope) / allPairs;
      slopes[chosen] = slope;
      slopes[rejected] = -slope;
    });

    const own = Array.from(logratios.keys()).filter((row) => !external[row]);
    const heldLogratios = rowDifferences(input, input.stopped.logprobs, input.reference.logprobs);
    const sampled = klAdvantages(
      Float64Array.from(own, (row) => heldLogratios[row]!),
      Int32Array.from(own, (row) => groups[row]!),
    );
    const allSamples = divisor(input.totals.rows - input.totals.externalRows);
    const sums = rowSums(input, input.policy.logprobs);
    const advantages = new Float64Array(input.rows);
    own.forEach((row, sample) => {
      advantages[row] = sampled[sample]!;
      slopes[row] = (klWeight * sampled[sample]!) / allSamples;
    });
    const surrogate = own.reduce((sum, row) => sum + advantages[row]! * sums[row]!, 0);
    const terms = Float64Array.of(total(losses) / allPairs, surrogate / allSamples);
    return {
      loss: terms[0]! + klWeight * terms[1]!,
      metrics: {
        kl: { sum: own.reduce((sum, row) => sum + logratios[row]!, 0), count: own.length },
        'rewards/accuracies': {
          sum: pairs.filter(([chosen, rejected]) => logratios[chosen]! > logratios[rejected]!).length,
          count: pairs.length,
        },
        ...entropyMetric(input),
      },
      cotangents: { logprobs: spreadRows(input, slopes) },
      details: { losses, logratios, klAdvantages: advantages, terms },
    };
  },
});

/** Chosen and rejected row of each offline pair. */
function offlinePairs(groups: Int32Array, labels: Uint8Array, external: Uint8Array): (readonly [number, number])[] {
  return rowsByGroup(groups).flatMap((rows) => {
    const offline = rows.filter((row) => external[row] === 1);
    const chosen = offline.filter((row) => labels[row] === 1);
    const rejected = offline.filter((row) => labels[row] !== 1);
    if (chosen.length !== rejected.length) {
      throw new ObjectiveError([
        {
          code: 'wrong-rows',
          where: { objective: 'hypo', field: 'perRow.labels', row: offline[0]! },
          expected: 'as many chosen as rejected offline rows in a group',
          received: `${chosen.length} and ${rejected.length}`,
        },
      ]);
    }
    return chosen.map((row, pair) => [row, rejected[pair]!] as const);
  });
}
