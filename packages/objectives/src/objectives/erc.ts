import { z } from 'zod';
import { defineObjective } from '../objective.js';
import { clipOptions, clippedSurrogate, meanOf, ratioOptions, rewardClaims } from '../surrogate/index.js';

/** Keeps the ratio of entropies finite where both are next to 0; that of the authors' code. */
const ENTROPY_FLOOR = 1e-8;

/**
 * Entropy ratio clipping on the loss of DAPO. Kwai Klear 2025, arXiv:2512.05591.
 *   token kept where entropyRatioLow < (H_t + 1e-8)/(H_old,t + 1e-8) < entropyRatioHigh, H over the vocabulary
 *   L = (1/tokens) Σ clipped(ρ_t, A);   dL/dlog π(y_t) = that of the clipped loss if kept, else 0
 * A dropped token keeps its loss, read from the stopped scores, and counts in the divisor; the entropies decide and get no
 * gradient. Defaults: 0.95 and 1.05, ε 0.2 below and 0.28 above, dual clip 10. Logs `erc/kept_fraction`.
 */
export const erc = defineObjective({
  name: 'erc',
  title: 'Entropy ratio clipping',
  summary: 'Like DAPO, learning only from tokens whose entropy has hardly moved since they were sampled.',
  paper: 'Kwai Klear 2025, arXiv:2512.05591',
  rows: 'single',
  separable: true,
  detached: ['logprobs:dropped'],
  needs: {
    policy: ['logprobs', 'entropy'],
    reference: [],
    old: ['logprobs', 'entropy'],
    perToken: ['advantages'],
  },
  claims: ({ entropyRatioLow, entropyRatioHigh }) =>
    entropyRatioLow < 1 && entropyRatioHigh > 1 ? rewardClaims({ aggregation: 'tokens' }) : {},
  options: {
    entropyRatioLow: z.number().min(0).default(0.95).describe('Entropy may fall to this share of the old one.'),
    entropyRatioHigh: z.number().min(0).default(1.05).describe('Entropy may rise to this multiple of the old one.'),
    ...clipOptions({ low: 0.2, high: 0.28, dual: 10 }),
    logRatioClamp: ratioOptions.logRatioClamp,
  },
  evaluate(input, { entropyRatioLow, entropyRatioHigh, ...options }) {
    const { completionMask, policy, stopped, old } = input;
    const kept = Float64Array.from(completionMask, (bit, at) => {
      if (!bit) return 0;
      const ratio = (policy.entropy[at]! + ENTROPY_FLOOR) / (old.entropy[at]! + ENTROPY_FLOOR);
      return Number(ratio > entropyRatioLow && ratio < entropyRatioHigh);
    });
    const logprobs = policy.logprobs.map((logprob, at) => (kept[at] ? logprob : stopped.logprobs[at]!));
    const evaluation = clippedSurrogate({ ...input, policy: { ...policy, logprobs } }, { ...off, ...options });
    return {
      ...evaluation,
      metrics: { ...evaluation.metrics, 'erc/kept_fraction': meanOf(input, kept) },
      cotangents: { logprobs: evaluation.cotangents.logprobs!.map((slope, at) => (kept[at] ? slope : 0)) },
    };
  },
});

/** No KL, no entropy bonus; rows of an older policy. */
const off = {
  aggregation: 'tokens',
  importance: 'token',
  onPolicy: false,
  entropyCoef: 0,
  beta: 0,
  klEstimator: 'k3',
  reportedKl: 'k3',
  klClamp: 0,
  klImportance: 'none',
} as const;
