import { z } from 'zod';
import { klEstimators } from '../estimators/index.js';
import { rowLengths, spreadRows } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import {
  aggregationOptions,
  aggregator,
  clipOptions,
  clippedTerm,
  klTerm,
  ratioOptions,
  sumTerms,
} from '../surrogate/index.js';
import { asymmetricWeights } from '../weights/asymmetric.js';

/**
 * Asymmetric policy optimisation. View-R1; Indolent-Kawhi/View-R1. Not the anchored APO of `apo-zero` and `apo-down`.
 *   L = aggregate(clipped(ρ_t, A)) + beta mean over rows of w (1/n) Σ_t k3(d_t)
 *   ρ_t = π(y_t)/π_old(y_t),  d_t = log π(y_t) - log π_ref(y_t)
 *   dL/dlog π(y_t) = -A ρ_t times the aggregation's weight, 0 where clipped, + beta w (1 - e^{-d_t}) mask_t/(n rows)
 * A and w from rewards, lengths and the difficulty of the prompt, d = 1 - share of right answers: see
 * `asymmetricWeights`. The policy's part is PPO's, whose aggregation is an option here, `rows` as GRPO's by default;
 * the KL is a mean of row means in the released code. Rewards are 1 for right and 0 for wrong. Logs what `grpo` logs;
 * details `advantages`, `klWeights`, `difficulties`, [rows], and those of the clipped surrogate.
 */
export const asymmetricPo = defineObjective({
  name: 'asymmetric-po',
  title: 'Asymmetric policy optimisation',
  summary: 'GRPO that holds right answers to the reference by difficulty, and punishes wrong ones that ramble.',
  paper: 'View-R1, Indolent-Kawhi/View-R1 (2025)',
  rows: 'groups',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: { policy: ['logprobs'], reference: ['logprobs'], old: ['logprobs'], perRow: ['groups', 'rewards'] },
  needsOf: ({ onPolicy }) => ({
    policy: ['logprobs'],
    reference: ['logprobs'],
    old: onPolicy ? [] : ['logprobs'],
    perRow: ['groups', 'rewards'],
  }),
  options: {
    ...clipOptions({ low: 0.2, high: 0.2 }),
    ...ratioOptions,
    beta: z.number().min(0).default(1e-3).describe('Weight of the KL to the reference.'),
    klEstimator: z.enum(klEstimators).default('k3').describe('Estimator of the KL that is trained on.'),
    ...aggregationOptions('rows'),
  },
  evaluate(input, { beta, klEstimator, aggregation, countEmptyRows, tokenBudget, ...options }) {
    const { groups, rewards } = input.perRow;
    const { advantages, klWeights, difficulties } = asymmetricWeights({ rewards, groups, lengths: rowLengths(input) });
    const weighed = { ...input, perToken: { advantages: spreadRows(input, advantages) } };
    const kl = { klEstimator, reportedKl: 'k3', klClamp: 0, klImportance: 'none', importance: 'token' } as const;
    return sumTerms([
      clippedTerm(
        weighed,
        { ...options, importance: 'token' },
        aggregator(input, { aggregation, countEmptyRows, tokenBudget }),
      ),
      klTerm(
        weighed,
        { ...kl, beta, logRatioClamp: options.logRatioClamp, onPolicy: options.onPolicy },
        aggregator(input, { aggregation: 'rows', countEmptyRows, tokenBudget }),
        klWeights,
      ),
      { loss: 0, metrics: entropyMetric(input), cotangents: {}, details: { advantages, klWeights, difficulties } },
    ]);
  },
});
