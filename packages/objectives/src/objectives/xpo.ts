import { z } from 'zod';
import { gibbs, winRateGibbs } from '../claims.js';
import { logisticLoss, squaredLoss } from '../margin-losses.js';
import { divisor, rowSums, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { evaluatePairs, ofMargin, type PairScores } from '../pair-objective.js';

/**
 * Exploratory preference optimisation: online DPO between a completion of the policy and one of the reference, and a bonus
 * for leaving what the reference says. Xie et al. 2024, arXiv:2405.21046.
 *   L = mean over pairs of l(Δchosen - Δrejected) + alpha Σ log π(y of the reference)
 *   sigmoid  l(D) = softplus(-beta D)           ipo  l(D) = (D - 1/(2 beta))²        Δ, L: summed over tokens
 *   dL/dlog π(y_t) = (±l'(D) + alpha 1[y of the reference]) mask_t/pairs             + chosen, - rejected
 * Which one is chosen is a judge's to say (`judgedPairs`); `perRow.external` 1 marks the completion of the reference, on
 * whichever side it stands. alpha 0 is online DPO with the reference as opponent. Default alpha 1e-5 of TRL; the paper gives
 * none. `details`: `losses` (without the bonus), `explorationLosses` (alpha times its sum) and `margins` [pairs];
 * `implicitRewards` and `sequenceLogprobs` [rows].
 */
export const xpo = defineObjective({
  name: 'xpo',
  title: 'Exploratory preference optimisation',
  summary: 'DPO on fresh completions of policy and reference that makes those of the reference less likely besides.',
  paper: 'Xie et al. 2024, arXiv:2405.21046',
  rows: 'pairs',
  separable: true,
  needs: { policy: ['logprobs'], reference: ['logprobs'], perRow: ['external'] },
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the pull to the reference.'),
    alpha: z.number().min(0).default(1e-5).describe('Weight of the exploration bonus.'),
    loss: z
      .enum(['sigmoid', 'ipo'])
      .default('sigmoid')
      .describe('Loss of the margin: logistic as in DPO, or squared as in IPO, summed over tokens.'),
  },
  // The bonus at the reference depends on the data.
  atReference: ({ beta, alpha, loss }) => {
    if (alpha > 0) return undefined;
    return loss === 'sigmoid' ? Math.LN2 : 1 / (4 * beta ** 2);
  },
  claims: ({ beta, alpha, loss }) => {
    if (alpha > 0) return {};
    return { optimum: loss === 'sigmoid' ? gibbs(beta) : winRateGibbs(beta) };
  },
  claimedAt: [{ alpha: 0 }, { alpha: 0, loss: 'ipo' }],
  evaluate(input, { beta, alpha, loss: kind }) {
    const pairs = divisor(input.totals.groups);
    const { loss, slopes, metrics, details } = evaluatePairs(input, { beta, loss: marginLoss(kind, beta) });
    const external = Float64Array.from(input.perRow.external, (mark) => (mark === 1 ? alpha : 0));
    const bonuses = rowSums(input, input.policy.logprobs).map((logprob, row) => external[row]! * logprob);
    const explorationLosses = details.losses.map((_, pair) => bonuses[2 * pair]! + bonuses[2 * pair + 1]!);
    return {
      loss: loss + total(explorationLosses) / pairs,
      metrics: { ...metrics, 'loss/xpo': { sum: total(explorationLosses), count: explorationLosses.length } },
      cotangents: {
        logprobs: spreadRows(
          input,
          slopes.map((slope, row) => slope + external[row]! / pairs),
        ),
      },
      details: { ...details, explorationLosses },
    };
  },
});

function marginLoss(kind: 'sigmoid' | 'ipo', beta: number) {
  return (scores: PairScores) =>
    kind === 'sigmoid'
      ? ofMargin(beta, scores, (z) => logisticLoss(z))
      : ofMargin(1, scores, (difference) => squaredLoss(difference, 1 / (2 * beta)));
}
