import {
  alphaDivergence,
  type Divergence,
  forwardKl,
  halfChi2PlusKl,
  jensenShannon,
  logSoftmax,
  neymanChi2,
  pearsonChi2,
  reverseKl,
  squaredHellinger,
  totalVariation,
} from '@kelpie/objectives';
import type { Params, Variants } from './case.js';

const named: Readonly<Record<string, Divergence>> = {
  reverse_kl: reverseKl,
  forward_kl: forwardKl,
  js: jensenShannon,
  pearson_chi2: pearsonChi2,
  chi2: pearsonChi2,
  half_chi2_plus_kl: halfChi2PlusKl,
  tv: totalVariation,
  total_variation: totalVariation,
  squared_hellinger: squaredHellinger,
  neyman_chi2: neymanChi2,
  chi2_reversed: neymanChi2,
};

export const divergenceNames = ['alpha', ...Object.keys(named)];

/** By `divergence`, and `alpha` in the paper's convention. */
export function divergenceOf(params: Params): Divergence {
  const name = params.text('divergence', divergenceNames);
  const alpha = params.number('alpha', 0.5);
  return name === 'alpha' ? alphaDivergence(alpha) : named[name]!;
}

export const variants: Variants = {
  generator(inputs, params) {
    const { f, derivative, slope, logInverse } = divergenceOf(params);
    const logRatios = inputs.numbers('log_u');
    return {
      values: {
        f: logRatios.map((r) => f(r)),
        f_prime: logRatios.map((r) => derivative(r)),
        f_prime_dlog: logRatios.map((r) => slope(r)),
        inverse_log: inputs.numbers('v').map((v) => logInverse(v)),
      },
    };
  },
  exact(inputs, params) {
    const { exact } = divergenceOf(params);
    const { value, gradient } = exact(logSoftmax(inputs.numbers('logits_p')), logSoftmax(inputs.numbers('logits_q')));
    return { values: { loss: value, divergence: value }, grads: { logits_p: gradient } };
  },
};
