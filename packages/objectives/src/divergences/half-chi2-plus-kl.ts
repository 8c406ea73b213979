import { cappedExp, cappedExpSlope, defineDivergence } from './divergence.js';
import { chi2Perspective } from './pearson-chi2.js';

/**
 * Half of Pearson's chi-squared plus reverse KL: Huang et al. 2024, arXiv:2407.13399 (chi-PO).
 *   f = (u-1)²/2 + u log u,  f' = u + log u,  f'(e^r) = e^r + r,  (f')^{-1}(v) = W(e^v), Lambert's W
 * KL makes f'(0+) = -∞, which chi-squared alone has not; chi-squared weighs large ratios.
 */
export const halfChi2PlusKl = defineDivergence<true>({
  name: 'half-chi2-plus-kl',
  title: 'Half chi-squared plus reverse KL, (u-1)²/2 + u log u',
  paper: 'Huang et al. 2024, arXiv:2407.13399',
  link: true,
  range: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  atZero: 0.5,
  curvature: 2,
  derivative: (r, cap = Number.POSITIVE_INFINITY) => cappedExp(r, cap) + r,
  slope: (r, cap = Number.POSITIVE_INFINITY) => cappedExpSlope(r, cap) + 1,
  logInverse: logLambertW,
  perspective: (logP, logQ) => chi2Perspective(logP, logQ) / 2 + Math.exp(logP) * (logP - logQ),
  weightedDerivative: (logP, logQ) => Math.exp(2 * logP - logQ) + Math.exp(logP) * (logP - logQ),
});

/**
 * log W(e^v): the y with e^y + y = v. Newton's steps from above the root, where convexity makes each one fall towards it.
 */
export function logLambertW(v: number): number {
  if (!Number.isFinite(v)) return v === Number.POSITIVE_INFINITY || Number.isNaN(v) ? v : Number.NEGATIVE_INFINITY;
  let y = v > 1 ? Math.log(v) : v;
  for (;;) {
    const u = Math.exp(y);
    const next = y - (u + y - v) / (u + 1);
    if (!(next < y)) return next;
    y = next;
  }
}
