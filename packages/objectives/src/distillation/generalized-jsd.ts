import { type Divergence, defineDivergence } from '../divergences/divergence.js';
import { forwardKl } from '../divergences/forward-kl.js';
import { reverseKl } from '../divergences/reverse-kl.js';
import { logMixture } from './mixture.js';

/**
 * Generalised Jensen-Shannon divergence between student p and teacher q. Agarwal et al. 2023, arXiv:2306.13649 (GKD).
 *   D = beta KL(q ‖ m) + (1-beta) KL(p ‖ m),  m = (1-beta) p + beta q
 *   f = (1-beta) u log u - w log w,  f' = (1-beta) log(u/w),  w = (1-beta) u + beta
 *   (f')^{-1}(v) = beta c/(1 - (1-beta) c),  c = e^{v/(1-beta)},  for v < -(1-beta) log(1-beta)
 *   dD/dlogit = (1-beta) p (log(p/m) - KL(p ‖ m))
 * beta 0 is KL(q ‖ p) and beta 1 KL(p ‖ q), as GKD and TRL have it. These are not limits: D itself goes to 0 at both
 * ends, as beta KL(q ‖ p) and (1-beta) KL(p ‖ q). beta 1/2 is half of `jensenShannon`.
 */
export function generalizedJsd(beta: number): Divergence<true> {
  if (!(beta >= 0 && beta <= 1)) throw new RangeError(`beta: expected a number from 0 to 1, got ${beta}`);
  if (beta === 0) return forwardKl;
  if (beta === 1) return reverseKl;
  const rest = 1 - beta;
  return defineDivergence<true>({
    name: 'generalized-jsd',
    title: `Generalised Jensen-Shannon, (1-b) u log u - w log w, w = (1-b) u + b, at b = ${beta}`,
    paper: 'Agarwal et al. 2023, arXiv:2306.13649',
    link: true,
    range: [Number.NEGATIVE_INFINITY, -rest * Math.log(rest)],
    atZero: -beta * Math.log(beta),
    curvature: beta * rest,
    derivative: (r) => -rest * logMixture(rest, -r),
    slope: (r) => rest * beta * Math.exp(-r - logMixture(rest, -r)),
    logInverse: (v) => {
      const logC = v / rest;
      const left = -Math.expm1(logC + Math.log(rest));
      return left > 0 ? Math.log(beta) + logC - Math.log(left) : Number.NaN;
    },
    // log(p/m) = -log(rest + beta e^-r), log(q/m) = -log(beta + rest e^r)
    perspective: (logP, logQ) =>
      -rest * Math.exp(logP) * logMixture(rest, logQ - logP) - beta * Math.exp(logQ) * logMixture(beta, logP - logQ),
    weightedDerivative: (logP, logQ) => -rest * Math.exp(logP) * logMixture(rest, logQ - logP),
  });
}
