import { z } from 'zod';
import { targetLogprobs } from '../claims.js';
import { alphaDivergence, type Divergence } from '../divergences/index.js';
import { divergencesByName as named } from '../divergences/named.js';
import { divisor, LARGEST_EXPONENT, rowDifferences, rowSums, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';

/**
 * f-divergence policy gradient: brings the policy to a given distribution. Go et al. 2023, arXiv:2302.08215; `forward-kl` is
 * GDC, Khalifa et al. 2020, arXiv:2012.11635. As naver/disco has it.
 *   t = π(y)/p(y),  log t = log π(y) - (score - logZ),  p ∝ e^score,  y drawn from a proposal
 *   L = mean over rows of stop( π(y)/proposal(y) (f'(t) + baseline) ) log π(y)
 *   dL/dlog π(y_t) = π(y)/proposal(y) (f'(t) + baseline) mask_t/rows
 * Its expected gradient is that of D_f(π ‖ p); the value of the loss says nothing. -f'(t) is the pseudo-reward of a
 * completion, and the baseline their mean: `movingMean`, over 1024 of them in disco, 0 at first. `perRow.targetLogScores` are
 * the scores; of reward maximisation with a KL penalty, log π_ref(y) + R(y)/beta. `logZ`: `estimatedLogPartition`.
 * `old.logprobs` are the proposal's. Log-ratios are held to ±300 where they are exponentiated; a completion that the target
 * rules out (score -Infinity) counts as t = e^300, and one without a score (NaN) has weight 0.
 * `details`, [rows]: `pseudoRewards`, `importances`, `logRatios` log t.
 */
export const fDpg = defineObjective({
  name: 'f-dpg',
  title: 'f-divergence policy gradient',
  summary: 'Brings the distribution of completions to one given by unnormalised scores, along any f-divergence.',
  paper: 'Go et al. 2023, arXiv:2302.08215',
  rows: 'single',
  separable: true,
  detached: ['logprobs:weight'],
  needs: { policy: ['logprobs'], reference: [], old: ['logprobs'], perRow: ['targetLogScores'] },
  options: {
    divergence: z
      .enum([
        'forward-kl',
        'reverse-kl',
        'js',
        'total-variation',
        'pearson-chi2',
        'neyman-chi2',
        'squared-hellinger',
        'half-chi2-plus-kl',
        'alpha',
      ])
      .default('forward-kl')
      .describe('D_f(policy ‖ target): forward KL is KL(target ‖ policy).'),
    alpha: z.number().min(0).max(1).default(0.5).describe('a of the alpha divergence; 0 is reverse, 1 forward KL.'),
    logZ: z.number().default(0).describe('log of the sum of the exponentials of all scores, in nats.'),
    baseline: z.number().default(0).describe('Mean of the pseudo-rewards, as far as known.'),
  },
  claims(options) {
    const { derivative } = generatorOf(options);
    return {
      // Total variation has a slope of one size up to where it turns.
      ...(options.divergence !== 'total-variation' && {
        optimum: { formula: 'p, the distribution of the scores', logprobs: targetLogprobs },
      }),
      descends: {
        formula: 'D_f(π ‖ p), p the distribution of the scores',
        variation: (world, logprobs) => {
          const scores = targetLogprobs(world);
          return logprobs.map((logprob, i) => derivative(logprob - (scores[i]! - options.logZ)));
        },
      },
    };
  },
  evaluate(input, { divergence, alpha, logZ, baseline }) {
    const { stopped, policy, old, perRow } = input;
    const { derivative } = generatorOf({ divergence, alpha });
    const rows = divisor(input.totals.rows);
    const scores = perRow.targetLogScores;
    const logRatios = rowSums(input, stopped.logprobs).map((logprob, row) => held(logprob - (scores[row]! - logZ)));
    const pseudoRewards = logRatios.map((logRatio) => -derivative(logRatio, LARGEST_EXPONENT));
    const importances = rowDifferences(input, stopped.logprobs, old.logprobs).map((log) => Math.exp(held(log)));
    const weights = pseudoRewards.map((pseudoReward, row) =>
      Number.isNaN(scores[row]!) ? 0 : importances[row]! * (baseline - pseudoReward),
    );
    const logprobs = rowSums(input, policy.logprobs);
    const told = pseudoRewards.filter((value) => !Number.isNaN(value));
    return {
      loss: total(weights.map((weight, row) => weight * logprobs[row]!)) / rows,
      metrics: {
        pseudo_reward: { sum: total(told), count: told.length },
        importance: { sum: total(importances), count: input.rows },
        ...entropyMetric(input),
      },
      cotangents: {
        logprobs: spreadRows(
          input,
          weights.map((weight) => weight / rows),
        ),
      },
      details: { pseudoRewards, importances, logRatios },
    };
  },
});

function generatorOf({
  divergence,
  alpha,
}: {
  readonly divergence: keyof typeof named | 'alpha';
  readonly alpha: number;
}): Divergence {
  return divergence === 'alpha' ? alphaDivergence(alpha) : named[divergence];
}

function held(log: number): number {
  return Math.min(Math.max(log, -LARGEST_EXPONENT), LARGEST_EXPONENT);
}
