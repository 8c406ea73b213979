import { z } from 'zod';
import { bernoulliFunction, divisor, sigmoid, softplus, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { interleave, marginsOf, pairMetrics } from '../pairs.js';
import { policyOnly, sequenceScores } from '../reference-free.js';

/**
 * Margin-aware preference optimisation, made for diffusion models. Hong et al. 2024, arXiv:2406.06424.
 *   x = the loss of a sample, > 0;  here -L/n, the mean negative log-likelihood of a completion's tokens
 *   score = v/(e^v - 1), v = snr x          falls from 1 at v = 0 to 0
 *   m = timesteps (score_chosen - score_rejected)
 *   L = mean over pairs of x_chosen + β softplus(-m)
 *   dL/dx_chosen = (1 - β timesteps σ(-m) dscore/dx)/pairs,  dL/dx_rejected = β timesteps σ(-m) dscore/dx/pairs
 *   dL/dlogπ(y_t) = -mask_t/n dL/dx
 * For denoising losses hand in rows of one token whose logprob is minus the loss. Defaults of the authors' code, whose
 * timesteps are those of the diffusion's schedule. `details`: `losses` of the margin, `margins` [pairs], `scores` [rows].
 */
export const mapo = defineObjective({
  name: 'mapo',
  title: 'Margin-aware preference optimisation',
  summary: 'Lowers the loss of chosen samples and raises their score over that of rejected ones, without a reference.',
  paper: 'Hong et al. 2024, arXiv:2406.06424',
  rows: 'pairs',
  separable: true,
  needs: policyOnly,
  options: {
    beta: z.number().min(0).default(0.1).describe('Weight of the margin.'),
    snr: z.number().positive().default(0.5).describe('Factor of the losses in the score: a signal-to-noise ratio.'),
    timesteps: z.number().positive().default(1000).describe('Factor of the difference of scores.'),
  },
  evaluate(input, { beta, snr, timesteps }) {
    const { policy, totals } = input;
    const { averages, slopes: shares } = sequenceScores(input, policy.logprobs, true);
    const shapes = Array.from(averages, (average) => bernoulliFunction(-snr * average));
    const scores = Float64Array.from(shapes, ({ value }) => value);
    const margins = marginsOf(scores).map((margin) => timesteps * margin);
    const losses = margins.map((margin) => softplus(-margin));
    const pairs = divisor(totals.groups);
    const slopes = interleave(margins.length, (pair) => {
      const pull = beta * timesteps * snr * sigmoid(-margins[pair]!);
      return { chosen: 1 - pull * shapes[2 * pair]!.slope, rejected: pull * shapes[2 * pair + 1]!.slope };
    });
    const chosen = averages.filter((_, row) => row % 2 === 0);
    return {
      loss: (beta * total(losses) - total(chosen)) / pairs,
      metrics: {
        ...pairMetrics(input, scores, averages),
        preference_loss: { sum: total(losses), count: losses.length },
      },
      cotangents: {
        logprobs: spreadRows(
          input,
          slopes.map((slope, row) => (-slope * shares[row]!) / pairs),
        ),
      },
      details: { losses, margins, scores, averageLogprobs: averages },
    };
  },
});
