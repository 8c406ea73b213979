import { type Divergence, forwardKl, pearsonChi2, reverseKl, totalVariation } from '../../divergences/index.js';
import { normal, normalized } from '../../enumerable/index.js';
import { expectedEstimate, type KlEstimator } from '../../estimators/index.js';
import { seeded } from '../../testing/random.js';
import { relativeError } from '../differences.js';
import { theoryCheck, theorySeeds, theoryWorld, withinIdentity } from './check.js';

/** What the loss made of each estimator descends: a factor times the gradient of a divergence. */
const descended: readonly {
  readonly estimator: KlEstimator;
  readonly factor: number;
  readonly of: Divergence;
  readonly name: string;
}[] = [
  { estimator: 'k1', factor: 0, of: reverseKl, name: 'nothing' },
  { estimator: 'k2', factor: 1, of: reverseKl, name: 'KL(π‖ref)' },
  { estimator: 'k3', factor: 1, of: forwardKl, name: 'KL(ref‖π)' },
  { estimator: 'abs', factor: 2, of: totalVariation, name: 'twice TV(π, ref)' },
  { estimator: 'k3-swapped', factor: 0.5, of: pearsonChi2, name: 'half of chi2(π‖ref)' },
  { estimator: 'k1+', factor: 1, of: reverseKl, name: 'KL(π‖ref)' },
  { estimator: 'k3+', factor: 1, of: reverseKl, name: 'KL(π‖ref)' },
];

export const klEstimatorsDescend = theoryCheck(
  'KL estimators as losses descend the divergence they are said to',
  () => {
    const errors = theorySeeds.flatMap((seed) => {
      const { reference } = theoryWorld(seed);
      const random = seeded(seed + 5000);
      const policy = normalized(reference.map((logprob) => logprob + normal(random)));
      return descended.map(({ estimator, factor, of }) => {
        const claimed = of.exact(policy, reference).gradient.map((slope) => factor * slope);
        const { pathwiseGradient } = expectedEstimate(estimator, policy, reference);
        return relativeError(pathwiseGradient, claimed, 1e-3);
      });
    });
    const found = descended.map(({ estimator, name }) => `${estimator}: ${name}`).join(', ');
    return { paper: 'Schulman 2020', ...withinIdentity(errors, found) };
  },
);

export const klEstimatorsInRewards = theoryCheck('k1 and k3 with their score term descend KL(π‖ref)', () => {
  const errors = theorySeeds.flatMap((seed) => {
    const { reference } = theoryWorld(seed);
    const random = seeded(seed + 5000);
    const policy = normalized(reference.map((logprob) => logprob + normal(random)));
    const { value, gradient } = reverseKl.exact(policy, reference);
    return (['k1', 'k3'] as const).map((estimator) => {
      const { mean, scoreGradient } = expectedEstimate(estimator, policy, reference);
      return Math.max(relativeError(scoreGradient, gradient), Math.abs(mean - value) / value);
    });
  });
  return { paper: 'Schulman 2020', ...withinIdentity(errors, `${errors.length} values and gradients`) };
});
