import { z } from 'zod';
import { klEstimators } from '../estimators/index.js';
import { LARGEST_EXPONENT } from '../numerics.js';
import { aggregations } from './aggregation.js';
import { importances } from './importance.js';
import { klImportances } from './kl-term.js';

/** How far the ratio may go; the names are those of `ClipOptions`. */
export const clipOptions = ({ low, high, dual = 0 }: { low: number; high: number; dual?: number }) => ({
  clipRangeLow: z.number().min(0).default(low).describe('ε below: ratios under 1 - ε earn no more.'),
  clipRangeHigh: z.number().min(0).default(high).describe('ε above: ratios over 1 + ε earn no more.'),
  dualClip: z
    .number()
    .min(0)
    .default(dual)
    .describe('Most that the ratio counts for where the advantage is negative, above 1; 0: no such bound.'),
  ratioCap: z
    .number()
    .min(0)
    .default(0)
    .describe('Cap of the ratio before the clip is compared with it, above 1 + ε (`delta` of TRL); 0: none.'),
});

/** From where the rows come. */
export const ratioOptions = {
  onPolicy: z
    .boolean()
    .default(false)
    .describe('The rows are of the policy as it stands: ratios are 1, and no old log-probabilities are read.'),
  logRatioClamp: z
    .number()
    .positive()
    .max(LARGEST_EXPONENT)
    .default(LARGEST_EXPONENT)
    .describe('Log-ratios are held to ± this, without gradient beyond (20 in verl and OpenRLHF).'),
};

export const importanceOptions = {
  importance: z
    .enum(importances)
    .default('token')
    .describe('Ratio of each token, or of the completion: geometric mean (GSPO) or product (RLOO) over its tokens.'),
};

/** The pull to the reference inside the loss. */
export const klOptions = (beta: number, estimator: (typeof klEstimators)[number] = 'k3') => ({
  beta: z.number().min(0).default(beta).describe('Weight of the KL to the reference in the loss.'),
  klEstimator: z
    .enum(klEstimators)
    .default(estimator)
    .describe(
      'What is trained on: k2, k1+ and k3+ descend KL(policy ‖ reference), k3 KL(reference ‖ policy), k1 none.',
    ),
  reportedKl: z.enum(klEstimators).default('k3').describe('What `kl` logs; k1 and k3 are unbiased.'),
  klClamp: z.number().min(0).default(0).describe("Each token's estimate is held to ± this (10 in verl); 0: it is not."),
  klImportance: z
    .enum(klImportances)
    .default('none')
    .describe('Factor of the KL: none, the ratio without gradient, or with it (`use_bias_correction_kl` of TRL).'),
});

export const entropyOptions = {
  entropyCoef: z.number().min(0).default(0).describe('Weight of the entropy bonus.'),
};

export const emptyRowOptions = {
  countEmptyRows: z
    .boolean()
    .default(true)
    .describe('Rows without a token count in the mean over rows (as in TRL), or do not (as in verl).'),
};

export const budgetOptions = (budget: number) => ({
  tokenBudget: z
    .number()
    .positive()
    .default(budget)
    .describe('Tokens a completion may have: what the constant mean divides a row by.'),
});

export const aggregationOptions = (aggregation: (typeof aggregations)[number], budget = 1024) => ({
  aggregation: z
    .enum(aggregations)
    .default(aggregation)
    .describe('Mean over all tokens, mean of row means, mean of row sums, or row sums over a constant.'),
  ...emptyRowOptions,
  ...budgetOptions(budget),
});
