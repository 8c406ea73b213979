import { cappedExp, cappedExpSlope, type Divergence, defineDivergence } from '../divergences/divergence.js';
import { forwardKl } from '../divergences/forward-kl.js';
import { logLambertW } from '../divergences/half-chi2-plus-kl.js';
import { reverseKl } from '../divergences/reverse-kl.js';

/** Not negative, at least one above 0. */
export interface BalancedWeights {
  readonly forward: number;
  readonly reverse: number;
}

/**
 * Both directions of the KL between student p and teacher q, weighed. Amara et al. 2022, arXiv:2212.12965 (BD-KD), from
 * its abstract. How the paper adapts the weights is not known to us: they are inputs.
 *   D = forward KL(q ‖ p) + reverse KL(p ‖ q)
 *   f = reverse u log u - forward log u,  f' = reverse (log u + 1) - forward/u
 *   dD/dlogit = forward (p - q) + reverse p (log(p/q) - KL(p ‖ q))
 * A link: f'(0+) = -∞ for both.
 */
export function balancedKl({ forward, reverse }: BalancedWeights): Divergence<true> {
  if (!(forward >= 0 && reverse >= 0 && forward + reverse > 0)) {
    throw new RangeError(`weights: expected two numbers from 0, one above, got ${forward} and ${reverse}`);
  }
  const both = (ofForward: number, ofReverse: number) =>
    (forward === 0 ? 0 : forward * ofForward) + (reverse === 0 ? 0 : reverse * ofReverse);
  return defineDivergence<true>({
    name: 'balanced-kl',
    title: `${forward} forward KL + ${reverse} reverse KL, ${reverse} u log u - ${forward} log u`,
    paper: 'Amara et al. 2022, arXiv:2212.12965',
    link: true,
    range: [Number.NEGATIVE_INFINITY, reverse > 0 ? Number.POSITIVE_INFINITY : 0],
    atZero: both(Number.POSITIVE_INFINITY, 0),
    curvature: forward + reverse,
    derivative: (r, cap = Number.POSITIVE_INFINITY) => both(-cappedExp(-r, cap), r + 1),
    slope: (r, cap = Number.POSITIVE_INFINITY) => both(cappedExpSlope(-r, cap), 1),
    logInverse(v) {
      if (reverse === 0) return v < 0 ? Math.log(forward) - Math.log(-v) : Number.NaN;
      if (forward === 0) return v / reverse - 1;
      // z + e^z = 1 - v/reverse + log(forward/reverse), z = log(forward/reverse) - r
      const shift = Math.log(forward) - Math.log(reverse);
      return shift - logLambertW(1 - v / reverse + shift);
    },
    perspective: (logP, logQ) => both(forwardKl.perspective(logP, logQ), reverseKl.perspective(logP, logQ)),
    weightedDerivative: (logP, logQ) =>
      both(forwardKl.weightedDerivative(logP, logQ), reverseKl.weightedDerivative(logP, logQ)),
  });
}
