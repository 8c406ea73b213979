import { type Divergence, defineDivergence } from '../divergences/divergence.js';
import { forwardKl } from '../divergences/forward-kl.js';
import { reverseKl } from '../divergences/reverse-kl.js';
import { logMixture } from './mixture.js';

/**
 * Skewed KL of teacher q against a mixture with the student p, bounded by -log skew. Ko et al. 2024, arXiv:2402.03898
 * (DistiLLM); its formulas are derived here.
 *   D = KL(q ‖ m),  m = skew q + (1-skew) p
 *   f = -log w,  f' = -(1-skew)/w,  w = skew + (1-skew) u;   (f')^{-1}(v) = -1/v - skew/(1-skew)
 *   dD/dlogit = (1-skew) p (E_p[q/m] - q/m)
 * skew 0 is KL(q ‖ p). No link otherwise: f'(0+) = -(1-skew)/skew.
 */
export function skewedForwardKl(skew: number): Divergence {
  checkSkew(skew);
  if (skew === 0) return forwardKl;
  const rest = 1 - skew;
  return defineDivergence<false>({
    name: 'skewed-forward-kl',
    title: `Skewed forward KL, -log(s + (1-s) u), at s = ${skew}`,
    paper: 'Ko et al. 2024, arXiv:2402.03898',
    link: false,
    range: [-rest / skew, 0],
    atZero: -Math.log(skew),
    curvature: rest ** 2,
    derivative: (r) => -rest * Math.exp(-logMixture(skew, r)),
    slope: (r) => rest ** 2 * Math.exp(r - 2 * logMixture(skew, r)),
    logInverse: (v) => (v >= -rest / skew && v < 0 ? Math.log(-1 / v - skew / rest) : Number.NaN),
    perspective: (logP, logQ) => -Math.exp(logQ) * logMixture(skew, logP - logQ),
    weightedDerivative: (logP, logQ) => -rest * Math.exp(logP - logMixture(skew, logP - logQ)),
  });
}

/**
 * Skewed KL of the student p against a mixture with the teacher q, bounded by -log skew. Ko et al. 2024,
 * arXiv:2402.03898 (DistiLLM); its formulas are derived here.
 *   D = KL(p ‖ m),  m = skew p + (1-skew) q
 *   f = u log(u/w),  f' = log(u/w) + (1-skew)/w,  w = skew u + 1-skew
 *   (f')^{-1}(v): y - skew e^y = v - 1 at y = log(u/w), then u = (1-skew) e^y/(1 - skew e^y);  v < -log skew
 *   dD/dlogit = p (h - E_p h),  h = log(p/m) + (1-skew) q/m
 * skew 0 is KL(p ‖ q). A link: f'(0+) = -∞.
 */
export function skewedReverseKl(skew: number): Divergence<true> {
  checkSkew(skew);
  if (skew === 0) return reverseKl;
  const rest = 1 - skew;
  // log w, and log(u/w) = -log(skew + rest e^-r)
  const logW = (r: number) => logMixture(rest, r);
  const share = (r: number) => -logMixture(skew, -r);
  const derivative = (r: number) => share(r) + rest * Math.exp(-logW(r));
  return defineDivergence<true>({
    name: 'skewed-reverse-kl',
    title: `Skewed reverse KL, u log(u/(s u + 1-s)), at s = ${skew}`,
    paper: 'Ko et al. 2024, arXiv:2402.03898',
    link: true,
    range: [Number.NEGATIVE_INFINITY, -Math.log(skew)],
    atZero: 0,
    curvature: rest ** 2,
    derivative,
    slope: (r) => (rest * Math.exp(-logW(r))) ** 2,
    logInverse: (v) => (v < -Math.log(skew) ? logSkewInverse(v, skew) : Number.NaN),
    perspective: (logP, logQ) => Math.exp(logP) * share(logP - logQ),
    weightedDerivative: (logP, logQ) => Math.exp(logP) * derivative(logP - logQ),
  });
}

/** Newton's steps on y - skew e^y, whose concavity keeps each below the root. */
function logSkewInverse(v: number, skew: number): number {
  let y = v - 1;
  for (;;) {
    const tilted = skew * Math.exp(y);
    const next = y - (y - tilted - v + 1) / (1 - tilted);
    if (!(next > y) || skew * Math.exp(next) >= 1) break;
    y = next;
  }
  return Math.log1p(-skew) + y - Math.log1p(-skew * Math.exp(y));
}

function checkSkew(skew: number): void {
  if (!(skew >= 0 && skew < 1)) throw new RangeError(`skew: expected a number from 0 to below 1, got ${skew}`);
}
