import { z } from 'zod';
import type { ScoreName } from '../input.js';
import { rowLengths, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { entropyMetric } from '../pairs.js';
import { aggregator, weighRows } from '../surrogate/index.js';

/** Divergences between student p and teacher q, and the score or scores that a policy gives for each. */
const divergences = [
  ...(['forward-kl', 'reverse-kl', 'jsd', 'js', 'alpha', 'pearson-chi2', 'half-chi2-plus-kl', 'neyman-chi2'] as const),
  ...(['squared-hellinger', 'total-variation', 'skewed-forward-kl', 'skewed-reverse-kl', 'balanced-kl'] as const),
] as const;
type Name = (typeof divergences)[number];

interface Parameters {
  readonly divergence: Name;
  readonly beta: number;
  readonly alpha: number;
  readonly skew: number;
  readonly forwardWeight: number;
  readonly reverseWeight: number;
}

interface WeightedScore {
  readonly score: ScoreName;
  readonly weight: number;
}

/**
 * On-policy distillation over the full vocabulary: the student is to give the teacher's distribution wherever it goes
 * itself. Agarwal et al. 2023, arXiv:2306.13649 (GKD). The reference is the teacher; sampling is not differentiated.
 *   L = aggregate( D(p_t ‖ q_t) ),  p_t, q_t: next-token distributions of student and teacher
 *   dL/dD_t = the aggregation's weight: mask_t/tokens by default
 * A policy gives D_t as a score, exactly and with its gradient at the logits; `distillationLoss` is the same on logits
 * at hand.
 *   jsd                  beta KL(q ‖ m) + (1-beta) KL(p ‖ m), m = (1-beta) p + beta q; beta 0 is KL(q ‖ p) and beta 1
 *                        KL(p ‖ q), as TRL has it: no limits, between 0 and 0.001 lies a factor of 1000
 *   alpha                alpha as Wang et al. 2023 write it; 0 is KL(p ‖ q), 1 is KL(q ‖ p)
 *   skewed-forward-kl    KL(q ‖ skew q + (1-skew) p), skewed-reverse-kl KL(p ‖ skew p + (1-skew) q): Ko et al. 2024,
 *                        arXiv:2402.03898 (DistiLLM)
 *   balanced-kl          forwardWeight KL(q ‖ p) + reverseWeight KL(p ‖ q): Amara et al. 2022, arXiv:2212.12965
 *                        (BD-KD), its rule for the weights left out
 * The mean is over tokens by default, as GKD's. Scores are taken at the policy's temperature, which divides the logits
 * of both; `weighted` with temperature² gives back the gradient's scale. Sampled in place of exact, reverse KL is
 * `kdrl` without rewards. With the reference as teacher it is the full-vocabulary f-penalty of other losses, in a
 * `weighted` sum with them. Logs `divergence`, the mean over tokens; details `divergences`, [rows, tokens].
 */
export const distillation = defineObjective({
  name: 'distillation',
  title: 'On-policy distillation',
  summary:
    "Gives the student the teacher's distribution of the next token, at every token of the student's own completions.",
  paper: 'Agarwal et al. 2023, arXiv:2306.13649',
  rows: 'single',
  separable: true,
  linear: true,
  needs: { policy: [], reference: [] },
  needsOf: (options) => ({ policy: scoresOf(options).map(({ score }) => score), reference: [] }),
  options: {
    divergence: z.enum(divergences).default('jsd').describe('Between student p and teacher q.'),
    beta: z.number().min(0).max(1).default(0.5).describe("Teacher's share in the mixture of `jsd`."),
    alpha: z.number().min(0).max(1).default(0.5).describe('Of `alpha`.'),
    skew: z
      .number()
      .min(0)
      .lt(1)
      .default(0.1)
      .describe('Share of its own first argument in the mixture of a skewed KL.'),
    forwardWeight: z.number().min(0).default(0.5).describe('Of KL(q ‖ p) in `balanced-kl`.'),
    reverseWeight: z.number().min(0).default(0.5).describe('Of KL(p ‖ q) in `balanced-kl`.'),
    aggregation: z
      .enum(['tokens', 'rows', 'sums'])
      .default('tokens')
      .describe('Mean over all tokens, mean of row means, or mean of row sums.'),
  },
  // Student and teacher agree.
  atReference: () => 0,
  claims: (options) =>
    bringsBack(options) ? { optimum: { formula: 'π_ref', logprobs: ({ reference }) => reference } } : {},
  evaluate(input, { aggregation, ...options }) {
    const { completionMask, policy } = input;
    const means = aggregator(input, { aggregation });
    const scores = scoresOf(options);
    const values = new Float64Array(completionMask.length);
    for (const { score, weight } of scores) {
      policy[score as keyof typeof policy]!.forEach((value: number, at: number) => {
        if (completionMask[at]) values[at]! += weight * value;
      });
    }
    const perToken = weighRows(input, Float64Array.from(completionMask), means.weights);
    return {
      loss: means.mean(values).loss,
      metrics: { divergence: { sum: total(values), count: total(rowLengths(input)) }, ...entropyMetric(input) },
      cotangents: Object.fromEntries(
        scores.map(({ score, weight }) => [score, perToken.map((slope) => weight * slope)]),
      ),
      details: { divergences: values },
    };
  },
});

/**
 * Whether a token that the student has left out is brought back, so that there is nowhere to rest but at the teacher:
 * the gradient there falls no faster than a power of p below 1. Under the others it falls as p log p or p: one that is
 * nearly gone stays gone. Total variation has no slope that fades near the teacher.
 */
function bringsBack({ divergence, beta, alpha, forwardWeight }: Parameters): boolean {
  if (divergence === 'jsd') return beta === 0;
  if (divergence === 'alpha') return alpha > 0;
  if (divergence === 'balanced-kl') return forwardWeight > 0;
  return divergence === 'forward-kl' || divergence === 'neyman-chi2' || divergence === 'squared-hellinger';
}

function scoresOf({
  divergence,
  beta,
  alpha,
  skew,
  forwardWeight,
  reverseWeight,
}: Parameters): readonly WeightedScore[] {
  const one = (score: ScoreName) => [{ score, weight: 1 }];
  const between = (parameter: number, atZero: ScoreName, atOne: ScoreName, inside: ScoreName) =>
    one(parameter === 0 ? atZero : parameter === 1 ? atOne : inside);
  const table: Readonly<Record<Name, () => readonly WeightedScore[]>> = {
    'forward-kl': () => one('forwardKl'),
    'reverse-kl': () => one('reverseKl'),
    js: () => one('js'),
    jsd: () => between(beta, 'forwardKl', 'reverseKl', `jsd(${beta})`),
    alpha: () => between(alpha, 'reverseKl', 'forwardKl', `alpha(${alpha})`),
    'pearson-chi2': () => one('pearsonChi2'),
    'half-chi2-plus-kl': () => one('halfChi2PlusKl'),
    'neyman-chi2': () => one('neymanChi2'),
    'squared-hellinger': () => one('squaredHellinger'),
    'total-variation': () => one('totalVariation'),
    'skewed-forward-kl': () => one(skew === 0 ? 'forwardKl' : `skewForwardKl(${skew})`),
    'skewed-reverse-kl': () => one(skew === 0 ? 'reverseKl' : `skewReverseKl(${skew})`),
    'balanced-kl': () => [
      { score: 'forwardKl', weight: forwardWeight },
      { score: 'reverseKl', weight: reverseWeight },
    ],
  };
  return table[divergence]();
}
