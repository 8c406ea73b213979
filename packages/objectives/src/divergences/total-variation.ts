import { defineDivergence } from './divergence.js';

/**
 * Total variation, Σ |p - q|/2; at most 1.
 *   f = |u-1|/2,  f' = sign(u-1)/2,  f'(e^r) = sign(r)/2;  f' has no inverse
 * No link: f' takes two values, so a pair whose logratios agree in sign says nothing, and no loss through it has a gradient.
 */
export const totalVariation = defineDivergence<false>({
  name: 'total-variation',
  title: 'Total variation, |u-1|/2',
  paper: 'as a penalty, Laidlaw et al. 2024, arXiv:2403.03185',
  link: false,
  range: [-0.5, 0.5],
  atZero: 0.5,
  curvature: Number.NaN,
  derivative: (r) => Math.sign(r) / 2,
  slope: () => 0,
  logInverse: () => Number.NaN,
  perspective(logP, logQ) {
    const [more, less] = logP > logQ ? [logP, logQ] : [logQ, logP];
    return (Math.exp(more) * -Math.expm1(less - more)) / 2;
  },
  weightedDerivative: (logP, logQ) => (Math.exp(logP) * Math.sign(logP - logQ)) / 2,
});
