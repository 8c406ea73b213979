import { z } from 'zod';
import { logOdds, rowLengths, sigmoid, softplus } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { interleave, marginsOf } from '../pairs.js';
import { evaluateScored, policyOnly, referenceFreeOptions, sequenceScores } from '../reference-free.js';

/**
 * Odds ratio preference optimisation: likelihood of chosen and, weighted by β, the odds of chosen against rejected. Hong
 * et al. 2024, arXiv:2403.07691, eq. 6 and 7.
 *   A = L/n,  o = logOdds(A_chosen) - logOdds(A_rejected)
 *   L = nllWeight NLL(chosen) + β mean over pairs of softplus(-o)
 *   dL/dA_chosen = -β σ(-o)/(1 - e^{A_chosen})/pairs,  dL/dA_rejected = β σ(-o)/(1 - e^{A_rejected})/pairs;  by log π(y_t) /n
 * β is the paper's λ, 0.1 by default as in TRL (the authors' script has 1). An empty completion has log-odds 0 and no
 * gradient; one of average log-probability 0, which rounding can make, counts as -2^-53. `nllOver: 'sequence'` takes the
 * likelihood over prompt and chosen, as TRL does; the default is the completion alone, the paper's conditional likelihood.
 * It needs prompts that are scored along, `perToken.promptTokens`. Not the ORPO of occupancy measures.
 */
export const orpo = defineObjective({
  name: 'orpo',
  title: 'Odds ratio preference optimisation',
  summary: 'Raises the likelihood of chosen and its odds against rejected, without a reference.',
  paper: 'Hong et al. 2024, arXiv:2403.07691',
  rows: 'pairs',
  separable: true,
  needs: policyOnly,
  needsOf: ({ nllOver }) => (nllOver === 'sequence' ? { ...policyOnly, perToken: ['promptTokens'] } : policyOnly),
  options: {
    beta: z.number().min(0).default(0.1).describe("Weight of the odds ratio, the paper's λ."),
    nllWeight: referenceFreeOptions.nllWeight(1),
    nllReduction: referenceFreeOptions.nllReduction(),
    nllOver: z
      .enum(['completion', 'sequence'])
      .default('completion')
      .describe('Tokens of the likelihood: of the chosen completion, or of its prompt too (TRL).'),
  },
  evaluate(input, { beta, nllOver, ...likelihood }) {
    const { promptTokens } = input.perToken;
    const { rows, tokens, completionMask } = input;
    const inPrompt = (at: number) => nllOver === 'sequence' && promptTokens?.[at] === 1;
    const completion = { rows, tokens, completionMask: completionMask.map((bit, at) => (inPrompt(at) ? 0 : bit)) };
    const scores = sequenceScores(completion, input.policy.logprobs, true);
    const lengths = rowLengths(completion);
    const odds = Array.from(scores.averages, (average, row) =>
      lengths[row] === 0 ? { value: 0, slope: 0 } : logOdds(average),
    );
    const margins = marginsOf(Float64Array.from(odds, ({ value }) => value));
    const slopes = interleave(margins.length, (pair) => {
      const slope = beta * sigmoid(-margins[pair]!);
      return { chosen: -slope * odds[2 * pair]!.slope, rejected: slope * odds[2 * pair + 1]!.slope };
    });
    const evaluation = evaluateScored(
      input,
      {
        scores,
        implicitRewards: scores.averages.map((average) => beta * average),
        margins,
        losses: margins.map((o) => beta * softplus(-o)),
        slopes,
      },
      likelihood,
      completion,
    );
    const sum = (of: (o: number) => number) => margins.reduce((so, o) => so + of(o), 0);
    return {
      ...evaluation,
      metrics: {
        ...evaluation.metrics,
        log_odds_chosen: { sum: sum((o) => o), count: margins.length },
        log_odds_ratio: { sum: sum((o) => -softplus(-o)), count: margins.length },
      },
    };
  },
});
