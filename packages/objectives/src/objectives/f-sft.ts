import { z } from 'zod';
import { type Divergence, jensenShannon, pearsonChi2, reverseKl, squaredHellinger } from '../divergences/index.js';
import { divisor, rowDifferences, spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';

const named = {
  'pearson-chi2': pearsonChi2,
  'squared-hellinger': squaredHellinger,
  'reverse-kl': reverseKl,
  js: jensenShannon,
} as const satisfies Readonly<Record<string, Divergence>>;

/**
 * Supervised fine-tuning as imitation through an f-divergence, with the reference left in. "Implicit reward as the bridge",
 * 2025, arXiv:2507.00018. From the paper's own definition as far as it is known here, not from code.
 *   v = beta Σ_t mask_t (log π(y_t) - log π_ref(y_t)),   φ(v) = -f*(-v) = min over u of u v + f(u)
 *   L = -mean over rows of φ(v);   dL/dlog π(y_t) = -beta φ'(v) mask_t/rows
 *   pearson-chi2       v - v²/4, and 1 from v = 2 on            φ' = 1 - v/2
 *   squared-hellinger  v/(1+v)                                  φ' = (1+v)^-2
 *   reverse-kl         1 - e^-v                                 φ' = e^-v
 *   js                 log(2 - e^-v)                            φ' = 1/(2 e^v - 1)
 * with f normalised to f'(1) = 0, so that φ'(0) = 1: at the reference the gradient is that of likelihood, and completions
 * that gained much already are pushed less. Likelihood itself, and total variation, have a linear φ, from which the reference
 * drops out. Below v = `lowest` φ goes on as its tangent: the last three steepen without end towards -1, -∞ and -log 2, and
 * with them a demonstration that the policy has lost. Defaults: none verified. `details`, [rows]: `implicitRewards` v,
 * `losses` -φ.
 */
export const fSft = defineObjective({
  name: 'f-sft',
  title: 'f-divergence supervised fine-tuning',
  summary: 'Raises demonstrations, the less the more they have gained over the reference.',
  paper: 'arXiv:2507.00018 (2025)',
  rows: 'single',
  separable: true,
  needs: { policy: ['logprobs'], reference: ['logprobs'] },
  options: {
    beta: z.number().positive().default(0.1).describe('Scale of the implicit reward.'),
    divergence: z
      .enum(['pearson-chi2', 'squared-hellinger', 'reverse-kl', 'js'])
      .default('pearson-chi2')
      .describe('Whose conjugate the implicit reward goes through.'),
    lowest: z
      .number()
      .gt(-0.69)
      .max(0)
      .default(-0.5)
      .describe('Implicit reward below which the loss goes on as its tangent.'),
  },
  atReference: () => 0,
  evaluate(input, { beta, divergence, lowest }) {
    const implicitRewards = rowDifferences(input, input.policy.logprobs, input.reference.logprobs).map((r) => beta * r);
    const terms = Array.from(implicitRewards, (v) => gainOf(named[divergence], v, lowest));
    const losses = Float64Array.from(terms, ({ value }) => -value);
    const rows = divisor(input.totals.rows);
    return {
      loss: total(losses) / rows,
      metrics: {
        rewards: { sum: total(implicitRewards), count: input.rows },
        ...entropyMetric(input),
      },
      cotangents: {
        logprobs: spreadRows(
          input,
          Float64Array.from(terms, ({ slope }) => (-beta * slope) / rows),
        ),
      },
      details: { implicitRewards, losses },
    };
  },
});

/** φ(v) and φ'(v), the u of the minimum; φ's tangent below `lowest`. */
function gainOf(divergence: Divergence, v: number, lowest: number): { readonly value: number; readonly slope: number } {
  if (v < lowest) {
    const { value, slope } = gainOf(divergence, lowest, lowest);
    return { value: value + slope * (v - lowest), slope };
  }
  const shift = divergence.derivative(0);
  if (shift - v <= divergence.range[0]) return { value: divergence.atZero + shift, slope: 0 };
  const logU = divergence.logInverse(shift - v);
  const u = Math.exp(logU);
  return { value: u * v + divergence.f(logU) - shift * Math.expm1(logU), slope: u };
}
