import { type KlEstimator, klEstimate } from './kl.js';

/** What an estimator does on average at one state. */
export interface ExpectedEstimate {
  /** E_π k. */
  readonly mean: number;
  /** [outcomes]: E_π [slope ∇log π] at the logits, what a loss that averages k over samples of π descends. */
  readonly pathwiseGradient: Float64Array;
  /** [outcomes]: E_π [(slope + k) ∇log π] at the logits, what k in the reward and in the loss descend together. */
  readonly scoreGradient: Float64Array;
}

/**
 * Expected value and gradient of a KL estimator at one state, by enumeration of its outcomes: both are log-probabilities,
 * [outcomes], normalised. With w_v the weight of an outcome's ∇log π, the gradient at the logits is π_v (w_v - E_π w).
 * Outcomes that π cannot draw do not take part.
 */
export function expectedEstimate(
  estimator: KlEstimator,
  logprobs: Float64Array,
  referenceLogprobs: Float64Array,
): ExpectedEstimate {
  const probabilities = logprobs.map(Math.exp);
  const estimates = Array.from(logprobs, (logprob, at) =>
    probabilities[at]! > 0
      ? klEstimate(estimator, logprob - referenceLogprobs[at]!)
      : { value: 0, slope: 0, clamped: false },
  );
  const mean = (weight: (at: number) => number) =>
    probabilities.reduce((sum, probability, at) => sum + probability * weight(at), 0);
  const gradient = (weight: (at: number) => number) => {
    const center = mean(weight);
    return probabilities.map((probability, at) => probability * (weight(at) - center));
  };
  return {
    mean: mean((at) => estimates[at]!.value),
    pathwiseGradient: gradient((at) => estimates[at]!.slope),
    scoreGradient: gradient((at) => estimates[at]!.slope + estimates[at]!.value),
  };
}
