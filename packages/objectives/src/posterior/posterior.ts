import { forwardKl, reverseKl } from '../divergences/index.js';
import { expectation, logSumExp } from '../enumerable/policy.js';
import { logSoftmax } from '../numerics.js';

/** Policy, reference and reward over the same outcomes: completions of a prompt, or tokens. Each [outcomes]. */
export interface RegularisedProblem {
  /** Of the policy, not normalised; -Infinity: cannot happen. */
  readonly logits: Float64Array;
  readonly referenceLogits: Float64Array;
  readonly rewards: Float64Array;
  /** Of the KL to the reference, above 0. */
  readonly beta: number;
}

export interface Posterior {
  /** log Z = log E_ref e^{r/beta}. */
  readonly logPartition: number;
  /** [outcomes]: log π*. */
  readonly logprobs: Float64Array;
}

/**
 * The Bayesian posterior with the reference as prior and e^{r/beta} as likelihood, which is the optimum of
 * KL-regularised reinforcement learning. Korbak et al. 2022, arXiv:2205.11275.
 *   π* = π_ref e^{r/beta}/Z;   max_π E_π r - beta KL(π ‖ π_ref) = beta log Z
 */
export function posteriorOf({ referenceLogits, rewards, beta }: Omit<RegularisedProblem, 'logits'>): Posterior {
  if (!(beta > 0)) throw new RangeError(`beta: expected a number above 0, got ${beta}`);
  const reference = logSoftmax(referenceLogits);
  const tilted = reference.map((logprob, at) =>
    logprob === Number.NEGATIVE_INFINITY ? logprob : logprob + rewards[at]! / beta,
  );
  return { logPartition: logSumExp(tilted), logprobs: logSoftmax(tilted) };
}

export interface PosteriorDivergence extends Posterior {
  /** E_π r - beta KL(π ‖ π_ref). */
  readonly objective: number;
  /** Its largest value, beta log Z. */
  readonly optimum: number;
  readonly klToReference: number;
  /** KL(π ‖ π*) = log Z - objective/beta. */
  readonly klToPosterior: number;
  /** KL(π* ‖ π), what distribution matching (GDC) descends. */
  readonly forwardKl: number;
  /** d/dlogits of each, [outcomes]. */
  readonly gradients: {
    /** π (h - E_π h),  h = r - beta log(π/π_ref). */
    readonly objective: Float64Array;
    /** -1/beta times that: reinforcement learning with KL penalties is variational inference. */
    readonly klToPosterior: Float64Array;
    /** π - π*. */
    readonly forwardKl: Float64Array;
  };
}

/**
 * How far a policy is from the posterior, both ways, and the objective that says the same. Exact, over all outcomes.
 */
export function posteriorDivergence(problem: RegularisedProblem): PosteriorDivergence {
  const { rewards, beta } = problem;
  const policy = logSoftmax(problem.logits);
  const reference = logSoftmax(problem.referenceLogits);
  const posterior = posteriorOf(problem);
  const klToReference = reverseKl.exact(policy, reference).value;
  const toPosterior = reverseKl.exact(policy, posterior.logprobs);
  const fromPosterior = forwardKl.exact(policy, posterior.logprobs);
  return {
    ...posterior,
    objective: expectation(policy, rewards) - beta * klToReference,
    optimum: beta * posterior.logPartition,
    klToReference,
    klToPosterior: toPosterior.value,
    forwardKl: fromPosterior.value,
    gradients: {
      objective: toPosterior.gradient.map((slope) => -beta * slope),
      klToPosterior: toPosterior.gradient,
      forwardKl: fromPosterior.gradient,
    },
  };
}
