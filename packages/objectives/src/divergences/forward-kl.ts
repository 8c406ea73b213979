import { cappedExp, cappedExpSlope, defineDivergence } from './divergence.js';

/**
 * Forward KL, KL(q ‖ p) = E_q[log q - log p].
 *   f = -log u,  f' = -1/u,  f'(e^r) = -e^{-r},  (f')^{-1}(v) = -1/v for v < 0
 * Gradient at the logits of p: p - q.
 */
export const forwardKl = defineDivergence<true>({
  name: 'forward-kl',
  title: 'Forward KL, -log u',
  paper: 'Wang et al. 2023, arXiv:2309.16240',
  link: true,
  range: [Number.NEGATIVE_INFINITY, 0],
  atZero: Number.POSITIVE_INFINITY,
  curvature: 1,
  derivative: (r, cap = Number.POSITIVE_INFINITY) => -cappedExp(-r, cap),
  slope: (r, cap = Number.POSITIVE_INFINITY) => cappedExpSlope(-r, cap),
  logInverse: (v) => (v < 0 ? -Math.log(-v) : Number.NaN),
  perspective: (logP, logQ) => Math.exp(logQ) * (logQ - logP),
  weightedDerivative: (_, logQ) => -Math.exp(logQ),
});
