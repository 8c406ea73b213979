import { cappedExpSlope, defineDivergence, scaledExpm1 } from './divergence.js';
import { chi2Perspective } from './pearson-chi2.js';

/**
 * Neyman's chi-squared, chi2(q ‖ p) = E_p (q/p - 1)².
 *   f = (u-1)²/u,  f' = 1 - u^{-2},  f'(e^r) = 1 - e^{-2r},  (f')^{-1}(v) = (1-v)^{-1/2} for v < 1
 * A link: f'(0+) = -∞.
 */
export const neymanChi2 = defineDivergence<true>({
  name: 'neyman-chi2',
  title: 'Neyman chi-squared, (u-1)²/u',
  paper: 'Neyman 1949; naver/disco has its derivative',
  link: true,
  range: [Number.NEGATIVE_INFINITY, 1],
  atZero: Number.POSITIVE_INFINITY,
  curvature: 2,
  derivative: (r, cap = Number.POSITIVE_INFINITY) => -Math.expm1(Math.min(-2 * r, cap)),
  slope: (r, cap = Number.POSITIVE_INFINITY) => 2 * cappedExpSlope(-2 * r, cap),
  logInverse: (v) => (v < 1 ? -Math.log1p(-v) / 2 : Number.NaN),
  perspective: (logP, logQ) => chi2Perspective(logQ, logP),
  weightedDerivative: (logP, logQ) => -scaledExpm1(logP, 2 * (logQ - logP)),
});
