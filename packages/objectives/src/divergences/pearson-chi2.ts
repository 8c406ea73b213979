import { cappedExpSlope, defineDivergence, scaledExpm1 } from './divergence.js';

/**
 * Pearson's chi-squared, chi2(p ‖ q) = E_q (u - 1)² = E_p u - 1.
 *   f = (u-1)²,  f' = 2(u-1),  f'(e^r) = 2(e^r - 1),  (f')^{-1}(v) = 1 + v/2 for v >= -2
 * No link: f'(0+) = -2, so its optimum leaves out whatever has a low reward. `halfChi2PlusKl` is the link nearest to it.
 */
export const pearsonChi2 = defineDivergence<false>({
  name: 'pearson-chi2',
  title: 'Pearson chi-squared, (u-1)²',
  paper: 'Pearson 1900; as a penalty, Laidlaw et al. 2024, arXiv:2403.03185',
  link: false,
  range: [-2, Number.POSITIVE_INFINITY],
  atZero: 1,
  curvature: 2,
  derivative: (r, cap = Number.POSITIVE_INFINITY) => 2 * Math.expm1(Math.min(r, cap)),
  slope: (r, cap = Number.POSITIVE_INFINITY) => 2 * cappedExpSlope(r, cap),
  logInverse: (v) => (v >= -2 ? Math.log1p(v / 2) : Number.NaN),
  perspective: chi2Perspective,
  weightedDerivative: (logP, logQ) => 2 * scaledExpm1(logP, logP - logQ),
});

/** (p - q)²/q, as q (u-1)² below u = 1 and p u (1 - 1/u)² above: no difference of large numbers. */
export function chi2Perspective(logP: number, logQ: number): number {
  const r = logP - logQ;
  return r > 0 ? Math.exp(logP + r) * Math.expm1(-r) ** 2 : Math.exp(logQ) * Math.expm1(r) ** 2;
}
