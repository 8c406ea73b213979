import {
  alphaDivergence,
  alphaFromTrl,
  dpo,
  fDpo,
  forwardKl,
  jensenShannon,
  type Objective,
  throughDerivative,
} from '@kelpie/objectives';
import type { Bound } from './dpo-losses.js';
import type { Fields } from './fields.js';

/** In float32; the recorded float64 runs have it too. Of the alpha divergence alone. */
const TRL_EXPONENT_CAP = 80;
const none = Number.MAX_VALUE;

const names = ['reverse_kl', 'forward_kl', 'js_divergence', 'alpha_divergence'] as const;
const divergences = {
  forward_kl: { name: 'forward-kl', divergence: forwardKl },
  js_divergence: { name: 'js', divergence: jensenShannon },
} as const;

/**
 * What `f_divergence_type` does to every loss of pairs. Its coefficient is one minus our alpha. Rewards are logged as if it
 * were reverse KL.
 */
export function readDivergence(options: Fields): (term: Bound) => Bound {
  const type = options.choice('f_divergence_type', [...names]) as (typeof names)[number];
  const coefficient = options.number('f_alpha_divergence_coef');
  if (type === 'reverse_kl') return (term) => term;
  const alpha = type === 'alpha_divergence';
  const exponentCap = alpha ? TRL_EXPONENT_CAP : none;
  const divergence = alpha ? alphaDivergence(alphaFromTrl(coefficient)) : divergences[type].divergence;
  const named = alpha ? { divergence: 'alpha', ...alphaOf(coefficient) } : { divergence: divergences[type].name };
  return (term) => {
    if (term.objective.rows !== 'pairs') return term;
    if (term.objective.name !== dpo.name) return { objective: throughDerivative(term, divergence, { exponentCap }) };
    return {
      objective: fDpo as Objective,
      options: { ...term.options, ...named, exponentCap, loggedRewards: 'logratio' },
    };
  };
}

/** A coefficient below 0 is an alpha above 1, which needs no convention but the paper's; our option takes none below 0. */
function alphaOf(coefficient: number) {
  return coefficient < 0
    ? { alpha: alphaFromTrl(coefficient) }
    : { alpha: coefficient, alphaConvention: 'trl' as const };
}
