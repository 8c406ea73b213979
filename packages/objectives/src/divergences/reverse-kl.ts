import { defineDivergence } from './divergence.js';

/**
 * Reverse KL, KL(p ‖ q) = E_p[log p - log q].
 *   f = u log u,  f' = log u + 1,  f'(e^r) = r + 1,  (f')^{-1}(v) = e^{v-1}
 * As a link it is that of DPO: Rafailov et al. 2023, arXiv:2305.18290.
 */
export const reverseKl = defineDivergence<true>({
  name: 'reverse-kl',
  title: 'Reverse KL, u log u',
  paper: 'Rafailov et al. 2023, arXiv:2305.18290',
  link: true,
  range: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  atZero: 0,
  curvature: 1,
  derivative: (r) => r + 1,
  slope: () => 1,
  logInverse: (v) => v - 1,
  perspective: (logP, logQ) => Math.exp(logP) * (logP - logQ),
  weightedDerivative: (logP, logQ) => Math.exp(logP) * (logP - logQ + 1),
});
