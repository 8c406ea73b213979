import { z } from 'zod';
import { rowsByGroup } from '../advantages/index.js';
import { gibbs, lengthGibbs } from '../claims.js';
import { divisor, rowDifferences, rowLengths, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import { orderedPairs, plackettLuceLoss } from '../ranking.js';

/**
 * Preference optimisation from rankings. Rafailov et al. 2023, arXiv:2305.18290, appendix A.3 (Plackett-Luce); its form
 * for K completions and its gradient are derived here.
 *   s_i = beta r_i,  r_i = Σ_t mask_t (log π(y_t) - log π_ref(y_t));   `score: 'mean'`: r_i divided by the row's tokens
 *   L = mean over lists of Σ_i log Σ_{j in pool(i)} e^{s_j - s_i},   pool(i): i and everything ranked strictly below it
 *   dL/dlogπ(y_t) of row j = beta mask_t/lists (Σ_{i: j in pool(i)} softmax_pool(i)(s)_j - 1[j gives a term]) [/n_j]
 * A group is a list, `perRow.ranks` its ranking, 0 the best; a negative rank takes no part. Two rows are DPO. An item
 * with nothing strictly below it gives no term; a list without one is 0 and counts in the mean. Ties: `strict`, the
 * default, keeps tied items out of each other's pool, so that a tie says nothing; `breslow` puts them in, which pushes
 * them together (Breslow 1974). `topK: 1` is the cross-entropy of the best against its list. `details`: `losses`
 * [lists]; `scores` and `scoreGradients` (d L / d s, the mean's divisor included), each [rows].
 */
export const plackettLuce = defineObjective({
  name: 'plackett-luce',
  title: 'Plackett-Luce preference optimisation',
  summary: 'Raises the likelihood of a whole ranking of completions, each drawn before all that are ranked below it.',
  paper: 'Rafailov et al. 2023, arXiv:2305.18290',
  rows: 'groups',
  separable: true,
  needs: { policy: ['logprobs'], reference: ['logprobs'], perRow: ['groups', 'ranks'] },
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the pull to the reference.'),
    score: z.enum(['sum', 'mean']).default('sum').describe('Logratio of a completion summed, or per token.'),
    topK: z.int().min(0).default(0).describe('Only items with fewer than this many above them give a term; 0: all.'),
    ties: z
      .enum(['strict', 'breslow'])
      .default('strict')
      .describe("Tied items stay out of each other's pool, or stand in it."),
  },
  claims: ({ beta, score }) => ({ optimum: score === 'sum' ? gibbs(beta) : lengthGibbs(beta) }),
  evaluate(input, { beta, score, topK, ties }) {
    const lengths = rowLengths(input);
    const factors = lengths.map((length) => (score === 'mean' ? beta / divisor(length) : beta));
    const scores = rowDifferences(input, input.policy.logprobs, input.reference.logprobs).map(
      (logratio, row) => factors[row]! * logratio,
    );
    const { groups, ranks } = input.perRow;
    const lists = rowsByGroup(groups).map((rows) => ({
      rows,
      scores: rows.map((row) => scores[row]!),
      ranks: rows.map((row) => ranks[row]!),
    }));
    const losses = lists.map((list) => plackettLuceLoss(list.scores, list.ranks, { topK, ties }));
    const step = divisor(input.totals.groups);
    const scoreGradients = new Float64Array(input.rows);
    lists.forEach(({ rows }, list) => {
      rows.forEach((row, at) => {
        scoreGradients[row] = losses[list]!.slopes[at]! / step;
      });
    });
    const ordered = lists.map((list) => orderedPairs(list.scores, list.ranks));
    const perList = Float64Array.from(losses, ({ loss }) => loss);
    return {
      loss: total(perList) / step,
      metrics: {
        'rewards/accuracies': {
          sum: ordered.reduce((sum, pair) => sum + pair.sum, 0),
          count: ordered.reduce((sum, pair) => sum + pair.count, 0),
        },
        ...entropyMetric(input),
      },
      cotangents: {
        logprobs: spreadRows(
          input,
          scoreGradients.map((slope, row) => factors[row]! * slope),
        ),
      },
      details: { losses: perList, scores, scoreGradients },
    };
  },
});
