import { z } from 'zod';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import {
  aggregator,
  emptyRowOptions,
  entropyOptions,
  entropyTerm,
  klOptions,
  klSettings,
  klTerm,
  logRatios,
  meanOf,
  oldLogprobs,
  policyNeeds,
  policyNeedsOf,
  pullRatios,
  ratioOf,
  ratioOptions,
  rewardClaims,
  rowMeans,
  sumTerms,
  weighRows,
} from '../surrogate/index.js';

/**
 * Geometric-mean policy optimisation. Zhao et al. 2025, arXiv:2507.20673.
 *   x_t = log π(y_t) - log π_old(y_t), held to <= ε_high where A > 0 and to >= -ε_low where A < 0
 *   s = exp( mean_t x_t );   L = mean over rows of -A s
 *   dL/dlog π(y_t) = -A s/(n rows), or 0 on the tokens whose x is held
 * The clip is per token and of the log-ratio; the ratio of the completion itself is not clipped. An empty completion has
 * s = 1 and loss 0, a token with A = 0 counts as x = 0. Advantages: `groupStd`. Defaults: 0.4 on both sides, no KL.
 * Details: `sequenceRatios` and `losses`, [rows].
 */
export const gmpo = defineObjective({
  name: 'gmpo',
  title: 'Geometric-mean policy optimisation',
  summary: 'Like GSPO, with the clip on each token before the geometric mean is taken.',
  paper: 'Zhao et al. 2025, arXiv:2507.20673',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: policyNeeds,
  needsOf: policyNeedsOf,
  claims: (options) => rewardClaims({ ...options, aggregation: 'rows', importance: 'token' }),
  claimedAt: klSettings,
  options: {
    clipLogRatioLow: z.number().min(0).default(0.4).describe('How far a log-ratio falls below 0 and still counts.'),
    clipLogRatioHigh: z.number().min(0).default(0.4).describe('How far a log-ratio rises above 0 and still counts.'),
    ...ratioOptions,
    ...klOptions(0),
    ...entropyOptions,
    ...emptyRowOptions,
  },
  evaluate(input, options) {
    const { clipLogRatioLow, clipLogRatioHigh, onPolicy, logRatioClamp, entropyCoef } = options;
    const { completionMask, policy, perToken, tokens } = input;
    const means = aggregator(input, { ...options, aggregation: 'rows' });
    const free = logRatios(input, policy.logprobs, oldLogprobs(input, onPolicy), 'token');
    const held = free.map((x, at) => {
      if (!completionMask[at] || perToken.advantages[at] === 0) return 0;
      return perToken.advantages[at]! > 0 ? Math.min(x, clipLogRatioHigh) : Math.max(x, -clipLogRatioLow);
    });
    const ratios = Array.from(rowMeans(input, held), (mean) => ratioOf(mean, logRatioClamp));
    const at = (cell: number) => ratios[Math.floor(cell / tokens)]!;
    const losses = held.map((_, cell) => (completionMask[cell] ? -perToken.advantages[cell]! * at(cell).ratio : 0));
    const slopes = held.map((_, cell) => (completionMask[cell] ? -perToken.advantages[cell]! * at(cell).slope : 0));
    const clipped = held.map((x, cell) => Number(x !== free[cell]));
    const perRow = weighRows(input, slopes, means.weights);
    const pulled = pullRatios(input, perRow, 'row-mean').map((slope, cell) => (clipped[cell] ? 0 : slope));
    const { loss, metric } = means.mean(losses);
    const log = {
      'loss/policy_avg': metric,
      'clip_ratio/region_mean': meanOf(
        input,
        clipped.map((flag, cell) => (completionMask[cell] ? flag : 0)),
      ),
      ...entropyMetric(input),
    };
    return sumTerms([
      {
        loss,
        metrics: log,
        cotangents: { logprobs: pulled },
        details: {
          sequenceRatios: Float64Array.from(ratios, ({ ratio }) => ratio),
          losses: rowMeans(input, losses),
        },
      },
      klTerm(input, { ...options, importance: 'token' }, means),
      entropyTerm(input, entropyCoef, means),
    ]);
  },
});
