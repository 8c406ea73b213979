import type { ScoreName } from './input.js';
import { type CheckedInput, defineObjective, type Objective } from './objective.js';
import { highEntropyTokens, keptAdvantages, keptFraction } from './surrogate/high-entropy.js';
import type { Term } from './weighted.js';

const highEntropyNeeds = {
  policy: ['logprobs', 'entropy'],
  reference: [],
  old: [],
  perToken: ['advantages'],
} as const;

/**
 * A policy-gradient objective on the tokens of highest entropy, whatever its clip and its mean are: `top_entropy_quantile`
 * of TRL. Wang et al. 2025, arXiv:2506.01939.
 *   kept_t = 1 where H_t >= the (1 - share)-quantile of H over all completion tokens of the input
 *   L, dL/dlog π: the objective's with A_t = 0 where not kept
 * The KL stays on every token, and dropped tokens count in every mean. Its clip fractions are those of all tokens. The
 * quantile is over what is given at once: not separable. Logs `entropy/kept_fraction`.
 */
export function onHighEntropy({ objective, options }: Omit<Term, 'weight'>, share: number): Objective {
  const bound = objective.resolveOptions(options);
  const inner = objective.needsOf(bound);
  const needs = { ...inner, policy: [...new Set<ScoreName>([...inner.policy, 'entropy'])] };
  return defineObjective({
    ...objective,
    claims: () => ({}),
    claimedAt: [],
    name: `high-entropy ${objective.name}`,
    separable: false,
    linear: false,
    needs,
    needsOf: () => needs,
    options: {},
    atReference: () => undefined,
    evaluate(checked) {
      const input = checked as CheckedInput<typeof highEntropyNeeds>;
      const { policy, perToken } = input;
      const kept = highEntropyTokens(input, policy.entropy, share);
      const advantages = keptAdvantages(perToken.advantages, kept);
      const whole = objective.evaluate(input, bound);
      const evaluation = objective.evaluate({ ...input, perToken: { ...perToken, advantages } }, bound);
      return {
        ...evaluation,
        metrics: {
          ...evaluation.metrics,
          ...Object.fromEntries(Object.entries(whole.metrics).filter(([key]) => /(^|_)clip_ratio/.test(key))),
          'entropy/kept_fraction': keptFraction(input, kept),
        },
        details: { ...whole.details, ...evaluation.details, ...clippedOf(whole.details) },
      };
    },
  });
}

function clippedOf(details: Readonly<Record<string, Float64Array>> = {}): Record<string, Float64Array> {
  return Object.fromEntries(Object.entries(details).filter(([name]) => name.startsWith('clipped')));
}
