import {
  aggregations,
  aggregator,
  defineObjective,
  importances,
  type KlEstimator,
  klEstimators,
  klImportances,
  klTerm,
  LARGEST_EXPONENT,
  type Objective,
  type Term,
} from '@kelpie/objectives';
import { z } from 'zod';
import { tokenMeanOf } from './slopes.js';

/** The KL of `klTerm` alone, by any estimator. */
const sampledKl = defineObjective({
  name: 'sampled-kl',
  title: 'KL to the reference, estimated on the tokens that were drawn',
  summary: 'Pulls to the reference.',
  paper: 'Schulman 2020, "Approximating KL divergence"',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: { policy: ['logprobs'], reference: ['logprobs'], old: ['logprobs'], perToken: ['advantages'] },
  needsOf: ({ onPolicy }) => ({
    policy: ['logprobs'],
    reference: ['logprobs'],
    old: onPolicy ? [] : ['logprobs'],
    perToken: ['advantages'],
  }),
  options: {
    klEstimator: z.enum(klEstimators).default('k2').describe('What is trained on.'),
    reportedKl: z.enum(klEstimators).default('k3').describe('What `kl` logs.'),
    klClamp: z.number().min(0).default(0).describe('Each estimate is held to ± this; 0: it is not.'),
    klImportance: z.enum(klImportances).default('none').describe('Factor of the KL.'),
    importance: z.enum(importances).default('token').describe('Ratio of each token, or of the completion.'),
    logRatioClamp: z.number().positive().default(LARGEST_EXPONENT).describe('Log-ratios are held to ± this.'),
    onPolicy: z.boolean().default(false).describe('The rows are of the policy as it stands.'),
    aggregation: z.enum(aggregations).default('tokens').describe('How tokens are averaged.'),
    countEmptyRows: z.boolean().default(true).describe('Rows without a token count in the mean over rows.'),
  },
  evaluate: (input, options) => klTerm(input, { ...options, beta: 1 }, aggregator(input, options)),
});

/** Whether its loss has a KL by an estimator of choice, weighed by `beta`. */
export function hasSampledKl({ options: { shape } }: Objective): boolean {
  return 'beta' in shape && 'klEstimator' in shape && 'klImportance' in shape;
}

/**
 * The KL in the loss, averaged as the objective averages the advantages of its tokens: then the weight is in units of the
 * reward a nat, as it is in the reward. What of the KL the objective has options for is as they say; its ratios are of tokens
 * where `importance` is no option.
 */
export function klPenalty(
  klEstimator: KlEstimator,
  coef: number,
  objective: Objective,
  objectiveOptions: Readonly<Record<string, unknown>>,
): Term {
  const { aggregation, scale } = tokenMeanOf(objective, objectiveOptions);
  const known = Object.entries(objective.resolveOptions(objectiveOptions));
  const own = known.filter(([name]) => name in sampledKl.options.shape);
  return {
    objective: sampledKl as unknown as Objective,
    options: { ...Object.fromEntries(own), klEstimator, aggregation },
    weight: coef * scale,
  };
}
