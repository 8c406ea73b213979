import { z } from 'zod';
import { alphaDivergence, type Divergence, jensenShannon } from '../divergences/index.js';
import { klEstimate } from '../estimators/index.js';
import { LARGEST_EXPONENT } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import { aggregator, meanOf, weighRows } from '../surrogate/index.js';

/**
 * Rehearsal of the initial policy: the term that diversity-preserving hybrid RL adds. Li et al. 2025, arXiv:2509.07430.
 *   L = coef (1/tokens) Σ f(u_t),  u_t = π(y_t)/π_0(y_t), y drawn from the initial policy π_0: the reference
 *   dL/dlog π(y_t) = coef u f'(u)/tokens
 *   forward-kl   f = u - 1 - log u                           estimates KL(π_0 ‖ π) per token
 *   js           f = u log u - (u+1) log((u+1)/2)             twice Jensen-Shannon
 *   alpha        f = (u^{1-a} - (1-a) u - a)/(a(a-1))         a = `alpha`
 * For rows that π_0 wrote on prompts it already solves; the other prompts get a policy gradient without KL (`grpo` with
 * beta 0), in batches of their own. Log-ratios are held to ±300. Defaults of the authors: forward KL, coef 0.01 (to 0.05;
 * 0.05 to 0.2 for js), a 0.2. Details: `divergence`, [rows, tokens].
 */
export const dphRl = defineObjective({
  name: 'dph-rl',
  title: 'Rehearsal of the initial policy (DPH-RL)',
  summary: 'Holds the policy near the initial one on what that one wrote, by a mass-covering divergence.',
  paper: 'Li et al. 2025, arXiv:2509.07430',
  rows: 'single',
  separable: true,
  needs: { policy: ['logprobs'], reference: ['logprobs'] },
  options: {
    coef: z.number().min(0).default(0.01).describe('Weight of the divergence.'),
    generator: z
      .enum(['forward-kl', 'js', 'alpha'])
      .default('forward-kl')
      .describe('Which f-divergence is held small.'),
    alpha: z.number().min(0).max(1).default(0.2).describe('a of the alpha divergence; 0 is reverse, 1 forward KL.'),
  },
  atReference: () => 0,
  claims: ({ coef }) => (coef > 0 ? { optimum: { formula: 'π_ref', logprobs: ({ reference }) => reference } } : {}),
  evaluate(input, { coef, generator, alpha }) {
    const { completionMask, policy, reference } = input;
    const means = aggregator(input, { aggregation: 'tokens' });
    const at = generatorOf(generator, alpha);
    const divergence = new Float64Array(completionMask.length);
    const slopes = new Float64Array(completionMask.length);
    for (let cell = 0; cell < divergence.length; cell++) {
      if (!completionMask[cell]) continue;
      const r = policy.logprobs[cell]! - reference.logprobs[cell]!;
      const { value, slope } = at(Math.min(Math.max(r, -LARGEST_EXPONENT), LARGEST_EXPONENT));
      divergence[cell] = value;
      slopes[cell] = Math.abs(r) > LARGEST_EXPONENT ? 0 : coef * slope;
    }
    return {
      loss: coef * means.mean(divergence).loss,
      metrics: { divergence: meanOf(input, divergence), ...entropyMetric(input) },
      cotangents: { logprobs: weighRows(input, slopes, means.weights) },
      details: { divergence },
    };
  },
});

/** f(e^r) and its derivative by r. */
function generatorOf(
  generator: 'forward-kl' | 'js' | 'alpha',
  alpha: number,
): (r: number) => { readonly value: number; readonly slope: number } {
  if (generator === 'forward-kl') return (r) => klEstimate('k3-swapped', r);
  const divergence: Divergence = generator === 'js' ? jensenShannon : alphaDivergence(alpha);
  return (r) => ({ value: divergence.f(r), slope: divergence.weightedDerivative(r, 0) });
}
