import { z } from 'zod';
import { gibbs } from '../claims.js';
import { modelledKl, type Sloped, squaredLoss, targetKl } from '../margin-losses.js';
import { spreadRows } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { evaluatePairs, ofMargin, pairOptions } from '../pair-objective.js';
import { marginsOf } from '../pairs.js';

const forms: Readonly<Record<'squared' | 'backward-kl' | 'forward-kl', (z: number, y: number) => Sloped>> = {
  squared: squaredLoss,
  'backward-kl': targetKl,
  'forward-kl': modelledKl,
};

/**
 * Reward-aware preference optimisation. Adler et al. 2024 (Nemotron-4), arXiv:2406.11704, section 3.3.2; the three forms
 * of NeMo-Aligner, under its names.
 *   z = beta (Δchosen - Δrejected),  y = eta (reward_chosen - reward_rejected),  Δ = Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   squared      ℓ = (z - y)²                        dℓ/dz = 2 (z - y)
 *   backward-kl  ℓ = KL(σ(y) ‖ σ(z)), Bernoulli      dℓ/dz = σ(z) - σ(y)
 *   forward-kl   ℓ = KL(σ(z) ‖ σ(y))                 dℓ/dz = σ(z) σ(-z) (z - y)
 *   L = mean over pairs of ℓ;  dL/dlogπ(y_t) = ± beta/pairs dℓ/dz mask_t                + chosen, - rejected
 * The names are NeMo's and run against common use: its `fwd_kl` takes the mean under the policy's σ(z). A pair with a
 * completion not judged (reward NaN) adds 0 and counts as a pair. Not the RPO of Liu et al. 2024, arXiv:2405.16436: that
 * is `dpo` with `nllWeight`.
 */
export const rpo = defineObjective({
  name: 'rpo',
  title: 'Reward-aware preference optimisation',
  summary: 'Draws the margin of implicit rewards to that of given ones, so that the size of a preference counts.',
  paper: 'Adler et al. 2024, arXiv:2406.11704',
  rows: 'pairs',
  separable: true,
  needs: { policy: ['logprobs'], reference: ['logprobs'], perRow: ['rewards'] },
  options: {
    beta: pairOptions.beta(0.1),
    eta: z.number().min(0).default(1).describe('Scale of the given rewards.'),
    form: z
      .enum(['backward-kl', 'forward-kl', 'squared'])
      .default('backward-kl')
      .describe('Distance between the two margins.'),
  },
  claims: ({ beta, eta }) => (eta > 0 ? { optimum: gibbs(beta / eta) } : {}),
  evaluate(input, { beta, eta, form }) {
    const gaps = marginsOf(input.perRow.rewards);
    const { slopes, ...evaluation } = evaluatePairs(input, {
      beta,
      loss: (scores, pair) =>
        Number.isNaN(gaps[pair])
          ? { loss: 0, chosen: 0, rejected: 0 }
          : ofMargin(beta, scores, (margin) => forms[form](margin, eta * gaps[pair]!)),
    });
    return { ...evaluation, cotangents: { logprobs: spreadRows(input, slopes) } };
  },
});
