import { z } from 'zod';
import { logSumExp } from '../enumerable/policy.js';
import type { Needs, RowField } from '../input.js';
import { divisor, sigmoid, softplus, total } from '../numerics.js';
import { type CheckedInput, defineObjective } from '../objective.js';
import { interleave, marginsOf, sideMean } from '../pairs.js';

const tieRules = ['none', 'half', 'rao-kupper', 'davidson'] as const;
type TieRule = (typeof tieRules)[number];

const needs = { policy: ['values'], reference: [] } as const satisfies Needs;

/**
 * A reward model from preferences. Bradley and Terry 1952; on language models Ouyang et al. 2022, arXiv:2203.02155, eq. 1;
 * margin as Touvron et al. 2023, arXiv:2307.09288, eq. 2; centring as Eisenstein et al. 2023, arXiv:2312.09244, section 2.
 *   r = the value at a row's last scored token,  d = r_chosen - r_rejected - margin,  θ = (1+p)/(1-p),  ν = 2p/(1-p)
 *   L = mean over pairs of  ℓ(d) + centerCoefficient (r_chosen + r_rejected)²
 *   none, half   ℓ = softplus(-d)                      a tie: (softplus(-d) + softplus(d))/2
 *   rao-kupper   ℓ = softplus(log θ - d)               a tie: softplus(log θ - d) + softplus(log θ + d) - log(θ² - 1)
 *   davidson     ℓ = log(1 + ν e^(-d/2) + e^-d)        a tie: log(ν + e^(d/2) + e^(-d/2)) - log ν
 *   dL/dr = (± ℓ'(d) + 2 centerCoefficient (r_chosen + r_rejected))/pairs      + chosen, - rejected; 0 on earlier tokens
 * Models of ties: Rao and Kupper 1967, Davidson 1970; in both p is the probability of a tie between equals. A pair is a
 * tie where its two `ranks` are equal, and has no margin then. Rewards are known up to a constant, which the centring
 * fixes at 0. Defaults: no margin, no centring (TRL's too; it recommends 0.01), no ties. Accuracies are those of pairs
 * that are no ties. Details: `rewards`, [rows]; `losses` and `margins`, [pairs].
 */
export const rewardModel = defineObjective({
  name: 'reward-model',
  title: 'Reward model of Bradley and Terry',
  summary:
    'Fits a scalar head so that chosen completions score above rejected ones, by the log-odds of preferring them.',
  paper: 'Ouyang et al. 2022, arXiv:2203.02155',
  rows: 'pairs',
  separable: true,
  needs,
  needsOf: ({ useMargin, ties }) => {
    const perRow: RowField[] = [
      ...(useMargin ? (['margins'] as const) : []),
      ...(ties === 'none' ? [] : ['ranks' as const]),
    ];
    return { ...needs, perRow };
  },
  options: {
    useMargin: z.boolean().default(false).describe('Pairs bring margins, by which chosen is to beat rejected.'),
    centerCoefficient: z
      .number()
      .min(0)
      .default(0)
      .describe('Weight of the squared sum of both rewards, which brings their mean to 0.'),
    ties: z
      .enum(tieRules)
      .default('none')
      .describe('Pairs of equal ranks: taken as decided, as half a win to each, or by a model of ties.'),
    tieProbability: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.5)
      .describe('How likely equals tie, under `rao-kupper` and `davidson`.'),
  },
  evaluate(input, { useMargin, centerCoefficient, ties, tieProbability }) {
    const last = lastTokens(input);
    const rewards = Float64Array.from(last, (at) => (at < 0 ? 0 : input.policy.values[at]!));
    const pairs = input.rows / 2;
    const { margins: asked, ranks } = input.perRow;
    const tied = Array.from(
      { length: pairs },
      (_, pair) => ties !== 'none' && ranks![2 * pair] === ranks![2 * pair + 1],
    );
    const margins = marginsOf(rewards);
    const fits = tied.map((tie, pair) =>
      pairLoss(margins[pair]! - (useMargin && !tie ? asked![2 * pair]! : 0), tie, ties, tieProbability),
    );
    const sums = Float64Array.from(margins, (_, pair) => rewards[2 * pair]! + rewards[2 * pair + 1]!);
    const losses = Float64Array.from(fits, ({ loss }, pair) => loss + centerCoefficient * sums[pair]! ** 2);
    const count = divisor(input.totals.groups);
    const slopes = interleave(pairs, (pair) => {
      const center = 2 * centerCoefficient * sums[pair]!;
      return { chosen: fits[pair]!.slope + center, rejected: center - fits[pair]!.slope };
    });
    const values = new Float64Array(input.completionMask.length);
    last.forEach((at, row) => {
      if (at >= 0) values[at] = slopes[row]! / count;
    });
    const decided = [...margins].filter((_, pair) => !tied[pair]);
    return {
      loss: total(losses) / count,
      metrics: {
        'rewards/chosen': sideMean(rewards, 0),
        'rewards/rejected': sideMean(rewards, 1),
        'rewards/margins': { sum: total(margins), count: pairs },
        'rewards/accuracies': { sum: decided.filter((margin) => margin > 0).length, count: decided.length },
      },
      cotangents: { values },
      details: { rewards, losses, margins },
    };
  },
});

/** [rows]: place of the last completion token, -1 where there is none. */
function lastTokens({ rows, tokens, completionMask }: CheckedInput<typeof needs>): number[] {
  return Array.from({ length: rows }, (_, row) => {
    const last = completionMask.subarray(row * tokens, (row + 1) * tokens).lastIndexOf(1);
    return last < 0 ? -1 : row * tokens + last;
  });
}

/** The loss of a pair at the difference d of its rewards, and its derivative. */
function pairLoss(
  d: number,
  tie: boolean,
  rule: TieRule,
  tieProbability: number,
): { readonly loss: number; readonly slope: number } {
  if (rule === 'rao-kupper') {
    const theta = (1 + tieProbability) / (1 - tieProbability);
    const wide = Math.log(theta);
    const win = { loss: softplus(wide - d), slope: -sigmoid(wide - d) };
    if (!tie) return win;
    return { loss: win.loss + softplus(wide + d) - Math.log(theta ** 2 - 1), slope: win.slope + sigmoid(wide + d) };
  }
  if (rule === 'davidson') {
    const logNu = Math.log((2 * tieProbability) / (1 - tieProbability));
    // Log-weights of win, tie and loss, up to a constant.
    const logs = Float64Array.of(d / 2, logNu, -d / 2);
    const sum = logSumExp(logs);
    const [win, , lose] = logs.map((log) => Math.exp(log - sum));
    const slope = (win! - lose!) / 2;
    return tie ? { loss: sum - logNu, slope } : { loss: sum - d / 2, slope: slope - 0.5 };
  }
  if (!tie) return { loss: softplus(-d), slope: -sigmoid(-d) };
  return { loss: (softplus(-d) + softplus(d)) / 2, slope: sigmoid(d) - 0.5 };
}
