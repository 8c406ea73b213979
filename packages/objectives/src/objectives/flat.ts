import { z } from 'zod';
import { divisor, rowLengths, rowSums, sigmoid, softplus, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';

interface Side {
  readonly loss: number;
  readonly slope: number;
}

/** Losses of the mean probabilities of the template (-g*) and of what is to be forgotten (f*(g*)), each with its slope. */
interface Variational {
  template(probability: number): Side;
  forget(probability: number): Side;
}

const linear = (p: number): Side => ({ loss: -p, slope: -1 });

const variational: Readonly<Record<'total-variation' | 'kl' | 'pearson-chi2' | 'js', Variational>> = {
  'total-variation': {
    template: (p) => ({ loss: -Math.tanh(p) / 2, slope: -(1 - Math.tanh(p) ** 2) / 2 }),
    forget: (p) => ({ loss: Math.tanh(p) / 2, slope: (1 - Math.tanh(p) ** 2) / 2 }),
  },
  kl: { template: linear, forget: (p) => ({ loss: Math.exp(p - 1), slope: Math.exp(p - 1) }) },
  'pearson-chi2': { template: linear, forget: (p) => ({ loss: p ** 2 / 4 + p, slope: p / 2 + 1 }) },
  js: {
    template: (p) => ({ loss: softplus(-p) - Math.LN2, slope: -sigmoid(-p) }),
    forget: (p) => ({ loss: softplus(p) - Math.LN2, slope: sigmoid(p) }),
  },
};

/**
 * Forget data only loss adjustment: unlearns an answer against a template answer to the same prompt, such as a refusal. Wang
 * et al. 2024, arXiv:2410.11143; `js` from the same table, Nowozin et al. 2016, arXiv:1606.00709.
 *   p̄ = mean over a completion's tokens of π(y_t)       a probability, not its logarithm
 *   L = mean over pairs of -g(p̄_template) + f*(g(p̄_forget))
 *   total-variation  (tanh p̄_f - tanh p̄_t)/2            kl  -p̄_t + e^{p̄_f - 1}
 *   pearson-chi2     -p̄_t + p̄_f²/4 + p̄_f               js  softplus(-p̄_t) + softplus(p̄_f) - 2 log 2
 *   dL/dlog π(y_t) = (slope by p̄) π(y_t)/n mask_t/pairs
 * The chosen side is the template, the rejected one is to be forgotten. Maximising the variational form of a divergence
 * between the two. The mean is over the completion's own tokens; the authors' code divides by padded positions. Formulas
 * from their code; `kl` is their name for the generator u log u. `details`: `losses` [pairs], `probabilities` p̄ [rows].
 */
export const flat = defineObjective({
  name: 'flat',
  title: 'Forget data only loss adjustment',
  summary: 'Unlearns an answer against a template answer, by a variational f-divergence of mean token probabilities.',
  paper: 'Wang et al. 2024, arXiv:2410.11143',
  rows: 'pairs',
  separable: true,
  needs: { policy: ['logprobs'], reference: [] },
  options: {
    divergence: z
      .enum(['total-variation', 'kl', 'pearson-chi2', 'js'])
      .default('total-variation')
      .describe('Whose variational form is maximised.'),
  },
  evaluate(input, { divergence }) {
    const { completionMask, policy, rows, tokens } = input;
    const { template, forget } = variational[divergence];
    const lengths = rowLengths(input).map(divisor);
    const each = policy.logprobs.map((logprob, at) => (completionMask[at] ? Math.exp(logprob) : 0));
    const probabilities = rowSums(input, each).map((sum, row) => sum / lengths[row]!);
    const pairs = divisor(input.totals.groups);
    const sides = Array.from(probabilities, (p, row) => (row % 2 === 0 ? template(p) : forget(p)));
    const losses = Float64Array.from(
      { length: rows / 2 },
      (_, pair) => sides[2 * pair]!.loss + sides[2 * pair + 1]!.loss,
    );
    const sideMean = (side: number) => {
      const taken = probabilities.filter((_, row) => row % 2 === side);
      return { sum: total(taken), count: taken.length };
    };
    return {
      loss: total(losses) / pairs,
      metrics: {
        'probability/template': sideMean(0),
        'probability/forget': sideMean(1),
        ...entropyMetric(input),
      },
      cotangents: {
        logprobs: each.map((p, at) => {
          const row = Math.floor(at / tokens);
          return (sides[row]!.slope * p) / lengths[row]! / pairs;
        }),
      },
      details: { losses, probabilities },
    };
  },
});
