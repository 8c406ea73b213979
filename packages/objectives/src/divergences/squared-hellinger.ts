import { cappedExpSlope, defineDivergence, scaledExpm1 } from './divergence.js';

/**
 * Squared Hellinger divergence, Σ (√p - √q)² = 2(1 - Σ √(pq)); at most 2. Half of alpha = 1/2.
 *   f = (√u - 1)²,  f' = 1 - 1/√u,  f'(e^r) = 1 - e^{-r/2},  (f')^{-1}(v) = (1-v)^{-2} for v < 1
 * A link: f'(0+) = -∞.
 */
export const squaredHellinger = defineDivergence<true>({
  name: 'squared-hellinger',
  title: 'Squared Hellinger, (√u - 1)²',
  paper: 'Hellinger 1909; as a link, Wang et al. 2023, arXiv:2309.16240, alpha = 1/2',
  link: true,
  range: [Number.NEGATIVE_INFINITY, 1],
  atZero: 1,
  curvature: 0.5,
  derivative: (r, cap = Number.POSITIVE_INFINITY) => -Math.expm1(Math.min(-r / 2, cap)),
  slope: (r, cap = Number.POSITIVE_INFINITY) => cappedExpSlope(-r / 2, cap) / 2,
  logInverse: (v) => (v < 1 ? -2 * Math.log1p(-v) : Number.NaN),
  // From the larger side: (√p - √q)² = p (1 - √(q/p))².
  perspective: (logP, logQ) => Math.exp(Math.max(logP, logQ)) * Math.expm1(-Math.abs(logP - logQ) / 2) ** 2,
  weightedDerivative: (logP, logQ) => -scaledExpm1(logP, (logQ - logP) / 2),
});
