import { z } from 'zod';
import { rowsByGroup } from '../advantages/index.js';
import { type MarginRanking, marginRanking } from '../margin-ranking.js';
import { divisor, rowLengths, rowSums, spreadRows } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import { orderedPairs } from '../ranking.js';

/**
 * BRIO: candidates ranked by margins that grow with their distance in the ranking, beside the likelihood of a gold
 * answer. Liu et al. 2022, arXiv:2203.16804; yixinL7/BRIO, `RankingLoss`.
 *   S_i = scale Σ_t mask_t log π(y_t) / (n_i + addedLength)^lengthExponent          candidates best first
 *   L = rankWeight · mean over groups of Σ_{i<j} w_{j-i} max(0, S_j - S_i + (j-i) margin)  + nllWeight NLL(gold)
 *     + rankWeight goldWeight · mean over groups of Σ_i w max(0, S_i - S_gold + goldMargin)
 * `reduction: 'offset-mean'`, the default, is the released code: per distance d the mean over its K-d pairs, w_d =
 * 1/(K-d), so that the one pair at the largest distance weighs as much as all neighbours together; gold: w = 1/K.
 * `pair-sum` is the double sum of the paper, w = 1. The NLL is a mean over all gold tokens of the step.
 *   dL/dlogπ(y_t) = ± rankWeight w/groups · scale mask_t/(n + addedLength)^lengthExponent for each active pair
 *                   - nllWeight mask_t/gold tokens                                                     gold only
 * A group's candidates are its rows with `perRow.external` 0, in ascending `perRow.ranks` (ties in the order of the
 * rows; a negative rank takes no part); its gold answer, if any, is the row with `external` 1. An empty completion has
 * score 0. Defaults: the released configuration for CNN/DailyMail, scale 1 and label smoothing left out. Exponent 0.6
 * and scale 0.01 for XSum. `details`: `scores` [rows]; `losses` [groups], of ranking and gold term with their
 * reduction's weights.
 */
export const brio = defineObjective({
  name: 'brio',
  title: 'BRIO, margin ranking',
  summary: 'Orders candidates by their length-normalised likelihood, with margins that grow with the distance in rank.',
  paper: 'Liu et al. 2022, arXiv:2203.16804',
  rows: 'groups',
  separable: true,
  needs: { policy: ['logprobs'], reference: [], perRow: ['groups', 'ranks', 'external'] },
  options: {
    margin: z
      .number()
      .default(0.001)
      .describe('Margin per place between two candidates; below 0 a lead that is let pass.'),
    lengthExponent: z.number().min(0).default(2).describe('Scores are divided by the length to this power.'),
    addedLength: z.number().min(0).default(0).describe('Added to every length before it divides.'),
    scale: z.number().positive().default(1).describe('Factor of the scores.'),
    reduction: z
      .enum(['offset-mean', 'pair-sum'])
      .default('offset-mean')
      .describe('Sum over distances of the mean over their pairs, as released, or sum over pairs, as published.'),
    rankWeight: z.number().min(0).default(10).describe('Weight of the ranking.'),
    goldWeight: z.number().min(0).default(0).describe('Weight of the gold answer against each candidate.'),
    goldMargin: z.number().default(0).describe('Margin by which the gold answer is to be above a candidate.'),
    nllWeight: z.number().min(0).default(0.1).describe('Weight of the negative log-likelihood of the gold answer.'),
  },
  evaluate(input, options) {
    const { lengthExponent, addedLength, scale, rankWeight, nllWeight } = options;
    const { groups, ranks, external } = input.perRow;
    const lengths = rowLengths(input);
    const sums = rowSums(input, input.policy.logprobs);
    const factors = lengths.map((length) => scale / divisor(length + addedLength) ** lengthExponent);
    const scores = sums.map((sum, row) => factors[row]! * sum);
    const step = divisor(input.totals.groups);
    const slopes = new Float64Array(input.rows);
    const losses = rowsByGroup(groups).map((rows) => {
      const candidates = rows
        .filter((row) => !external[row] && ranks[row]! >= 0)
        .sort((a, b) => ranks[a]! - ranks[b]! || a - b);
      const gold = rows.filter((row) => external[row] === 1);
      const ranking = marginRanking(at(scores, candidates), at(scores, gold), options);
      const add = (row: number, slope: number) => {
        slopes[row]! += ((rankWeight * slope) / step) * factors[row]!;
      };
      ranking.slopes.forEach((slope, i) => {
        add(candidates[i]!, slope);
      });
      ranking.goldSlopes.forEach((slope, i) => {
        add(gold[i]!, slope);
      });
      return { ...ranking, ordered: orderedPairs(at(scores, candidates), at(ranks, candidates)) };
    });
    const goldRows = sums.map((sum, row) => (external[row] ? -sum : 0));
    const goldTokens = lengths.map((length, row) => (external[row] ? length : 0));
    const nll = { sum: summed(goldRows), count: summed(goldTokens) };
    const perToken = nllWeight / divisor(input.totals.externalTokens);
    const ranked = losses.reduce((sum, { loss }) => sum + loss, 0);
    return {
      loss: (rankWeight * ranked) / step + perToken * nll.sum,
      metrics: {
        ranking_loss: { sum: ranked, count: losses.length },
        nll_loss: nll,
        'rewards/accuracies': {
          sum: losses.reduce((sum, { ordered }) => sum + ordered.sum, 0),
          count: losses.reduce((sum, { ordered }) => sum + ordered.count, 0),
        },
        ...entropyMetric(input),
      },
      cotangents: {
        logprobs: spreadRows(
          input,
          slopes.map((slope, row) => (external[row] ? slope - perToken : slope)),
        ),
      },
      details: { scores, losses: Float64Array.from(losses, ({ loss }: MarginRanking) => loss) },
    };
  },
});

const at = (values: ArrayLike<number>, rows: readonly number[]) => rows.map((row) => values[row]!);

const summed = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0);
