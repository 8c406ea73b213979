import { z } from 'zod';
import { klEstimators } from '../estimators/index.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import {
  aggregator,
  clippedTerm,
  klOptions,
  klTerm,
  type PolicyInput,
  policyNeeds,
  ratioOptions,
  rewardClaims,
  sumTerms,
} from '../surrogate/index.js';

/**
 * Knowledge distillation and reinforcement learning in one loss. Xu et al. 2025, arXiv:2506.02208, as summaries give it;
 * the reference is the teacher.
 *   L = (1/tokens) Σ -A ρ_t  +  coef (1/tokens) Σ gate k(d_t),   d_t = log π(y_t) - log π_teacher(y_t)
 *   dL/dlog π(y_t) = (-A ρ_t + coef gate k'(d_t))/tokens
 * on completions of the student. Gate 1, or with `failedOnly` 1 on rows whose reward is not positive and 0 on the others
 * (and on rows without a reward); the divisor counts all tokens either way. k2, the reported choice, descends
 * KL(student ‖ teacher). Ratios are not clipped unless `clip`. Reported: coef annealed from 5e-3 to 1e-3. Logs
 * `loss/kl_avg`, the distillation term without coef; details `gate`, [rows].
 */
export const kdrl = defineObjective({
  name: 'kdrl',
  title: 'Distillation and reinforcement learning in one loss (KDRL)',
  summary: 'Follows rewards and a teacher at once, on completions of the student.',
  paper: 'Xu et al. 2025, arXiv:2506.02208',
  rows: 'single',
  separable: true,
  detached: ['logprobs:old', 'logprobs:kl'],
  needs: { ...policyNeeds, reference: ['logprobs'] },
  needsOf: ({ onPolicy, failedOnly }) => ({
    ...policyNeeds,
    reference: ['logprobs'],
    old: onPolicy ? [] : ['logprobs'],
    perRow: failedOnly ? ['rewards'] : [],
  }),
  options: {
    coef: z.number().min(0).default(5e-3).describe('Weight of the distillation.'),
    klEstimator: z
      .enum(klEstimators)
      .default('k2')
      .describe(
        'What is trained on: k2, k1+ and k3+ descend KL(student ‖ teacher), k3 KL(teacher ‖ student), k1 none.',
      ),
    failedOnly: z.boolean().default(false).describe('Distils only where the reward is not positive.'),
    clip: z.boolean().default(false).describe('Clips the ratio to the old policy, as PPO does.'),
    clipRangeLow: z.number().min(0).default(0.2).describe('ε below, with `clip`.'),
    clipRangeHigh: z.number().min(0).default(0.2).describe('ε above, with `clip`.'),
    klClamp: klOptions(0).klClamp,
    ...ratioOptions,
  },
  claims: ({ coef, klEstimator, klClamp, failedOnly }) =>
    failedOnly ? {} : rewardClaims({ aggregation: 'tokens', beta: coef, klEstimator, klClamp }),
  claimedAt: [{ coef: 0 }],
  evaluate(input, { coef, klEstimator, klClamp, failedOnly, clip, clipRangeLow, clipRangeHigh, ...ratio }) {
    const means = aggregator(input, { aggregation: 'tokens' });
    const gate = gateOf(input, failedOnly);
    const bounds = {
      clipRangeLow: clip ? clipRangeLow : Number.POSITIVE_INFINITY,
      clipRangeHigh: clip ? clipRangeHigh : Number.POSITIVE_INFINITY,
      dualClip: 0,
      ratioCap: 0,
    };
    const kl = { klEstimator, reportedKl: 'k3', klClamp, klImportance: 'none', importance: 'token' } as const;
    // Its mean is logged at a weight of 0 too.
    const distilled = klTerm(input, { ...kl, ...ratio, beta: coef === 0 ? 1 : coef }, means, gate);
    return sumTerms([
      clippedTerm(input, { ...bounds, ...ratio, importance: 'token' }, means),
      coef === 0 ? { ...distilled, loss: 0, cotangents: {} } : distilled,
      { loss: 0, metrics: entropyMetric(input), cotangents: {}, details: { gate } },
    ]);
  },
});

/** [rows]: 1 where the teacher is followed. */
function gateOf(
  { rows, perRow }: Pick<PolicyInput, 'rows'> & { readonly perRow: { readonly rewards?: Float64Array } },
  failedOnly: boolean,
): Float64Array {
  if (!failedOnly) return new Float64Array(rows).fill(1);
  return perRow.rewards!.map((reward) => Number(reward <= 0));
}
