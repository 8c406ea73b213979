import { type Claims, type Descent, divergenceDescent, negativeReward, perToken, sumOfDescents } from '../claims.js';
import { forwardKl, pearsonChi2, reverseKl, totalVariation } from '../divergences/index.js';
import { type KlEstimator, klEstimators } from '../estimators/index.js';
import type { Aggregation } from './aggregation.js';
import type { Importance } from './importance.js';
import { type KlImportance, klImportances } from './kl-term.js';

/** What settles the expected gradient of a policy-gradient loss on rows of the policy itself, where every ratio is 1. */
export interface ClaimedSurrogate {
  readonly aggregation: Aggregation;
  readonly tokenBudget?: number;
  readonly importance?: Importance;
  readonly beta?: number;
  readonly klEstimator?: KlEstimator;
  readonly klImportance?: KlImportance;
  readonly klClamp?: number;
  readonly entropyCoef?: number;
}

/**
 * The gradient is that of -E_π r where each token of a row counts as every other token of the step does. A KL or an entropy
 * per token has a gradient that leaves out what a token does to later ones, and a row divided by its own length has none
 * of a functional: these are claimed of completions of one token. A KL that is clamped descends nothing that has
 * a name.
 */
export function rewardClaims(options: ClaimedSurrogate): Claims {
  const { beta = 0, klEstimator = 'k3', klImportance = 'none', klClamp = 0, entropyCoef = 0 } = options;
  if (beta === 0 && entropyCoef === 0 && isEven(options)) return { descends: averaged(negativeReward, options) };
  if (beta > 0 && klClamp > 0) return {};
  const sum = sumOfDescents([
    { weight: 1, of: negativeReward },
    { weight: beta, of: klTermDescent(klEstimator, klImportance) },
    { weight: -entropyCoef, of: tokenEntropy },
  ]);
  const kl = beta > 0 ? ' + beta D' : '';
  const entropy = entropyCoef > 0 ? ' - entropyCoef H' : '';
  const formula = `${negativeReward.formula}${kl}${entropy} on completions of one token${kl && ', D as `klEstimators` says'}`;
  return { descends: averaged({ ...sum, formula, oneToken: true }, options) };
}

/** Whether each token of a row counts as every other token does. */
function isEven({ aggregation, importance = 'token' }: ClaimedSurrogate): boolean {
  // A product of ratios gives each token the sum of its row's slopes: n of them.
  return importance === 'row-sum' ? aggregation === 'rows' : aggregation !== 'rows';
}

function averaged(of: Descent, { aggregation, tokenBudget = 1 }: ClaimedSurrogate): Descent {
  if (of.oneToken && aggregation === 'tokens') return of;
  if (aggregation === 'tokens') return perToken(of);
  if (aggregation !== 'constant' || tokenBudget === 1) return of;
  const formula = `(${of.formula}) / tokenBudget`;
  return { ...of, formula, variation: (...at) => of.variation(...at).map((value) => value / tokenBudget) };
}

/** Settings with every estimator and weight of the KL, and with an entropy bonus, for `claimedAt`. */
export const klSettings: readonly Readonly<Record<string, unknown>>[] = [
  ...klEstimators.flatMap((klEstimator) =>
    klImportances.map((klImportance) => ({ beta: 0.3, klEstimator, klImportance })),
  ),
  { entropyCoef: 0.3 },
];

const nothing: Descent = { formula: 'nothing', variation: (_, logprobs) => logprobs.map(() => 0) };

const [klOfPolicy, klOfReference, chi2, variation] = [reverseKl, forwardKl, pearsonChi2, totalVariation].map(
  divergenceDescent,
) as [Descent, Descent, Descent, Descent];

/** What the slope of each estimator descends on completions of one token. */
const throughSlope: Readonly<Record<KlEstimator, Descent>> = {
  k1: nothing,
  k2: klOfPolicy,
  k3: klOfReference,
  abs: sumOfDescents([{ weight: 2, of: variation }]),
  'k3-swapped': sumOfDescents([{ weight: 0.5, of: chi2 }]),
  'k1+': klOfPolicy,
  'k3+': klOfPolicy,
};

/** What the score term of each value descends: Σ π(y) value(y) ∇log π(y). */
const throughScore: Readonly<Record<KlEstimator, Descent>> = {
  k1: klOfPolicy,
  k2: ofLogratio('E_π d²/2 held', (d) => (d * d) / 2),
  k3: minus(klOfPolicy, klOfReference),
  abs: ofLogratio('E_π |d| held', Math.abs),
  'k3-swapped': sumOfDescents([
    { weight: 0.5, of: chi2 },
    { weight: -1, of: klOfPolicy },
  ]),
  'k1+': klOfPolicy,
  'k3+': minus(klOfPolicy, klOfReference),
};

/** What `klTerm` descends with beta 1, on rows of the policy and completions of one token. */
export function klTermDescent(estimator: KlEstimator, importance: KlImportance = 'none'): Descent {
  const slope = throughSlope[estimator];
  if (importance !== 'live') return { ...slope, oneToken: true };
  const both = [slope, throughScore[estimator]].map((of) => ({ weight: 1, of }));
  return { ...sumOfDescents(both), oneToken: true };
}

/** Σ_t H(π(·|prefix)) where it is that of the completion. */
const tokenEntropy: Descent = {
  formula: 'H(π)',
  oneToken: true,
  variation: (_, logprobs) => logprobs.map((logprob) => -logprob),
};

function ofLogratio(formula: string, value: (logratio: number) => number): Descent {
  return {
    formula,
    variation: ({ reference }, logprobs) => logprobs.map((logprob, i) => value(logprob - reference[i]!)),
  };
}

function minus(first: Descent, second: Descent): Descent {
  return sumOfDescents([
    { weight: 1, of: first },
    { weight: -1, of: second },
  ]);
}
