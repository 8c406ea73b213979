import { z } from 'zod';
import { nll } from '../nll.js';
import { divisor, rowLengths, rowSums, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';

/**
 * Supervised iterative learning from human feedback: likelihood of the best of many completions, held to the initial policy.
 * Mukobi et al. 2023, arXiv:2310.16763, as in the authors' code (openfeedback/superhf).
 *   CE = -1/tokens Σ mask_t log π(y_t),   K_row = mean over its tokens of KL(π_ref ‖ π)_t over the whole vocabulary
 *   L = CE + inversePenalty/CE + klCoef Σ_rows max(K_row, 0)                            `rows`: mean over rows instead
 *   dL/dlog π(y_t) = -(1 - inversePenalty/CE²) mask_t/tokens;   dL/dKL_t = klCoef mask_t/n_row, 0 where K_row <= 0
 * Rows are the best ones by reward of each superbatch: `bestRows`. The inverse keeps the likelihood from collapsing onto
 * what it has learnt already, and makes a step's rows inseparable; with no token at all, it is 0. The KL is a sum over rows
 * while the likelihood is a mean, as in the code: its weight grows with the batch; `klReduction: 'mean'` has it grow no
 * more. The code compares logits with labels that are one token off; this does not. Defaults: the code's class has both
 * coefficients 0, which is `sft`; klCoef is 0.35 here, told of the paper's runs and not verified. `details`: `rowKls` [rows],
 * `crossEntropy` [1].
 */
export const superhf = defineObjective({
  name: 'superhf',
  title: 'SuperHF',
  summary: 'Raises the likelihood of the best completions, held to the initial policy over the whole vocabulary.',
  paper: 'Mukobi et al. 2023, arXiv:2310.16763',
  rows: 'single',
  separable: false,
  needs: { policy: ['logprobs', 'forwardKl'], reference: [] },
  options: {
    klCoef: z.number().min(0).default(0.35).describe('Weight of the KL from the reference.'),
    inversePenalty: z.number().min(0).default(0).describe('Weight of one over the cross-entropy.'),
    klReduction: z.enum(['sum', 'mean']).default('sum').describe('Sum over the rows of a step, or their mean.'),
  },
  evaluate(input, { klCoef, inversePenalty, klReduction }) {
    const { policy, totals } = input;
    const counts = { tokens: totals.scoredTokens, rows: totals.rows };
    const { loss: crossEntropy, slopes, mean } = nll(input, policy.logprobs, 'tokens', counts);
    const inverse = inversePenalty > 0 && totals.scoredTokens > 0 ? inversePenalty / crossEntropy : 0;
    const lengths = rowLengths(input).map(divisor);
    const rowKls = rowSums(input, policy.forwardKl).map((sum, row) => sum / lengths[row]!);
    const scale = klReduction === 'sum' ? klCoef : klCoef / divisor(totals.rows);
    const factor = inverse === 0 ? 1 : 1 - inverse / crossEntropy;
    return {
      loss: crossEntropy + inverse + scale * total(rowKls.map((kl) => Math.max(kl, 0))),
      metrics: {
        cross_entropy: mean,
        kl: { sum: total(rowKls), count: input.rows },
        ...entropyMetric(input),
      },
      cotangents: {
        logprobs: spreadRows(
          input,
          slopes.map((slope) => factor * slope),
        ),
        forwardKl: spreadRows(
          input,
          rowKls.map((kl, row) => (kl > 0 ? scale / lengths[row]! : 0)),
        ),
      },
      details: { rowKls, crossEntropy: Float64Array.of(crossEntropy) },
    };
  },
});
