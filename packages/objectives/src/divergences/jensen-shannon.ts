import { sigmoid } from '../numerics.js';
import { defineDivergence } from './divergence.js';

/**
 * Twice the Jensen-Shannon divergence: KL(p ‖ m) + KL(q ‖ m), m = (p + q)/2; at most 2 log 2.
 *   f = u log u - (u+1) log((u+1)/2),  f' = log(2u/(u+1)),  f'(e^r) = log 2 + log σ(r)
 *   (f')^{-1}(v) = e^v/(2 - e^v) for v < log 2
 */
export const jensenShannon = defineDivergence<true>({
  name: 'js',
  title: 'Twice Jensen-Shannon, u log u - (u+1) log((u+1)/2)',
  paper: 'Wang et al. 2023, arXiv:2309.16240',
  link: true,
  range: [Number.NEGATIVE_INFINITY, Math.LN2],
  atZero: Math.LN2,
  curvature: 0.5,
  derivative: (r) => logTwoSigmoid(r),
  slope: (r) => sigmoid(-r),
  // log u = v - log(2 - e^v), and 2 - e^v = 1 - (e^v - 1).
  logInverse: (v) => (v < Math.LN2 ? v - Math.log1p(-Math.expm1(v)) : Number.NaN),
  perspective: (logP, logQ) =>
    Math.exp(logP) * logTwoSigmoid(logP - logQ) + Math.exp(logQ) * logTwoSigmoid(logQ - logP),
  weightedDerivative: (logP, logQ) => Math.exp(logP) * logTwoSigmoid(logP - logQ),
});

/** log(2 σ(r)), with all digits near r = 0: (1 + e^{-r})/2 = 1 + expm1(-r)/2. */
function logTwoSigmoid(r: number): number {
  return Math.min(r, 0) - Math.log1p(Math.expm1(-Math.abs(r)) / 2);
}
