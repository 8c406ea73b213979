import { z } from 'zod';
import { spreadRows, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import {
  aggregator,
  entropyOptions,
  entropyTerm,
  importanceOptions,
  klOptions,
  klSettings,
  klTerm,
  oldLogprobs,
  policyNeeds,
  policyNeedsOf,
  ratioOptions,
  rewardClaims,
  rowAdvantages,
  rowSumsOfClamped,
  sumTerms,
  weightedTerm,
} from '../surrogate/index.js';

/** TRL's bounds of the log-ratio of a completion: log 1e-8 from below. */
const LEAST_LOG_WEIGHT = Math.log(1e-8);
const MOST_LOG_WEIGHT = 20;

/**
 * Variational sequence-level soft policy optimisation. Shen et al. 2026, arXiv:2602.10693, as the `vespo` loss type of TRL.
 *   w = π(y)/π_old(y),  the product over tokens
 *   φ(w) = w^k e^{λ(1 - w)},  k and λ of the sign of A;  φ(1) = 1
 *   L = -(1/tokens) Σ stop(φ(w)) A log π(y_t);   dL/dlog π(y_t) = -φ(w) A/tokens
 * φ takes the place of a clip: it fades completions that are far from on policy to either side. The log-ratio is held to
 * ±20 per token, and to [log 1e-8, 20] per completion, as in TRL; the sign is that of the row's mean advantage, 0 counting
 * as positive. Defaults of TRL: k 2, λ 3 where A >= 0; k 3, λ 2 where A < 0. Logs `vespo/phi_seq_mean`.
 */
export const vespo = defineObjective({
  name: 'vespo',
  title: 'Variational sequence-level soft policy optimisation',
  summary: 'Weighs each completion by a smooth bump of its ratio, 1 on policy and fading to either side.',
  paper: 'Shen et al. 2026, arXiv:2602.10693',
  rows: 'single',
  separable: true,
  detached: ['logprobs:weight', 'logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: policyNeedsOf,
  claims: (options) => rewardClaims({ ...options, aggregation: 'tokens', importance: 'token' }),
  claimedAt: klSettings,
  options: {
    powerPositive: z.number().min(0).default(2).describe('k where the advantage is not negative.'),
    decayPositive: z.number().min(1e-4).default(3).describe('λ where the advantage is not negative.'),
    powerNegative: z.number().min(0).default(3).describe('k where the advantage is negative.'),
    decayNegative: z.number().min(1e-4).default(2).describe('λ where the advantage is negative.'),
    ...ratioOptions,
    importance: importanceOptions.importance.describe('Of what the ratio is that weighs the KL, if one does.'),
    ...klOptions(0),
    ...entropyOptions,
  },
  evaluate(input, options) {
    const { powerPositive, decayPositive, powerNegative, decayNegative, onPolicy, entropyCoef } = options;
    const means = aggregator(input, { aggregation: 'tokens' });
    const advantages = rowAdvantages(input);
    const old = oldLogprobs(input, onPolicy);
    const phi = rowSumsOfClamped(input, input.stopped.logprobs, old, 20).map((sum, row) => {
      const logWeight = Math.min(Math.max(sum, LEAST_LOG_WEIGHT), MOST_LOG_WEIGHT);
      const [power, decay] = advantages[row]! >= 0 ? [powerPositive, decayPositive] : [powerNegative, decayNegative];
      return Math.exp(power * logWeight - decay * Math.expm1(logWeight));
    });
    const log = { 'vespo/phi_seq_mean': { sum: total(phi), count: input.rows }, ...entropyMetric(input) };
    return sumTerms([
      weightedTerm(input, spreadRows(input, phi), means),
      klTerm(input, options, means),
      entropyTerm(input, entropyCoef, means),
      { loss: 0, metrics: log, cotangents: {} },
    ]);
  },
});
