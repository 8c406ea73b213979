import {
  type ActionDivergence,
  categoricalActionPenalty,
  correlationBound,
  type DiscriminatorKind,
  discountedMean,
  discriminatorLoss,
  discriminatorRewards,
  expectedPathwise,
  gaussianActionPenalty,
  LARGEST_EXPONENT,
  logSoftmax,
  meanMetrics,
  type OccupancyDivergence,
  occupancyPathwise,
  type PenaltyKind,
  tableOccupancy,
} from '@kelpie/objectives';
import { enumerateSequences, type TablePolicy } from '@kelpie/objectives/enumerable';
import type { Inputs, Outcome, Params, Variant, Variants } from './case.js';
import { gridOf } from './policy-rows.js';

function sequence(inputs: Inputs, params: Params): Outcome {
  const { loss, metrics, cotangents, details } = occupancyPathwise.evaluate(
    {
      ...gridOf(inputs, 'logps'),
      policy: { logprobs: inputs.numbers('logps') },
      reference: { logprobs: inputs.numbers('ref_logps') },
    },
    {
      klWeight: params.number('kl_weight', 0),
      chi2Weight: params.number('chi2_weight', 0),
      sqrtChi2Weight: params.number('sqrt_chi2_weight', 0),
      clip: params.bound('clip', 10, LARGEST_EXPONENT),
      floor: params.number('floor', 1e-4),
    },
  );
  const means = meanMetrics(metrics);
  return {
    values: {
      loss,
      log_ratio: details!.logratios!,
      kl: means['occupancy/kl']!,
      chi2: means['occupancy/chi2']!,
      ratio_minus_1: details!.ratioMinus1!,
      inverse_ratio_minus_1: details!.inverseRatioMinus1!,
      ratio_clip_fraction: means['occupancy/ratio_clip_fraction']!,
      inverse_ratio_clip_fraction: means['occupancy/inverse_ratio_clip_fraction']!,
    },
    grads: { logps: cotangents.logprobs! },
  };
}

const discriminator =
  (kind: DiscriminatorKind): Variant =>
  (inputs) => {
    const { loss, currentSlopes, referenceSlopes } = discriminatorLoss(
      kind,
      inputs.numbers('current_scores'),
      inputs.numbers('reference_scores'),
    );
    return { values: { loss }, grads: { current_scores: currentSlopes, reference_scores: referenceSlopes } };
  };

const penalty =
  (kind: PenaltyKind): Variant =>
  (inputs, params) => {
    const { rewards, trimmedChi2 } = discriminatorRewards(kind, inputs.numbers('scores'), {
      coefficient: params.number('coef'),
      clip: params.number('clip', Number.POSITIVE_INFINITY),
    });
    return { values: { augmentation: rewards, ...(trimmedChi2 !== undefined && { trimmed_chi2: trimmedChi2 }) } };
  };

const actionNames: Readonly<Record<string, ActionDivergence>> = { kl: 'kl', chi2: 'chi2', sqrt_chi2: 'sqrt-chi2' };

function actions(inputs: Inputs, params: Params): Outcome {
  const name = params.text('divergence', [...Object.keys(actionNames), 'gaussian_chi2']);
  if (name === 'gaussian_chi2') return gaussians(inputs);
  const [states, vocabulary] = inputs.shape('logits') as [number, number];
  const row = (tensor: string, state: number) =>
    logSoftmax(inputs.numbers(tensor).subarray(state * vocabulary, (state + 1) * vocabulary));
  const penalties = Array.from({ length: states }, (_, state) =>
    categoricalActionPenalty(actionNames[name]!, row('logits', state), row('ref_logits', state)),
  );
  const divergence = penalties.map(({ value }) => value);
  return {
    values: { loss: discountedMean(divergence), divergence },
    grads: { logits: penalties.flatMap(({ gradient }) => [...gradient.map((slope) => slope / states)]) },
  };
}

function gaussians(inputs: Inputs): Outcome {
  const [states, dimensions] = inputs.shape('mean') as [number, number];
  const row = (tensor: string, state: number) =>
    inputs.numbers(tensor).subarray(state * dimensions, (state + 1) * dimensions);
  const divergence = Array.from(
    { length: states },
    (_, state) =>
      gaussianActionPenalty(
        'chi2',
        { means: row('mean', state), deviations: row('std', state) },
        { means: row('ref_mean', state), deviations: row('ref_std', state) },
      ).value,
  );
  return { values: { divergence } };
}

const occupancyNames: Readonly<Record<string, OccupancyDivergence>> = { ...actionNames, tv: 'tv' };

/** Completions of two tokens: the first one's logits, and those of the second after each first. */
function twoSteps(inputs: Inputs, prefix = ''): TablePolicy {
  const [vocabulary] = inputs.shape('first_logits') as [number];
  const space = enumerateSequences({ vocabulary, length: 2, variableLength: false });
  const logits = [...inputs.numbers(`${prefix}first_logits`), ...inputs.numbers(`${prefix}second_logits`)];
  return { space, logits: Float64Array.from(logits) };
}

/** A gradient at all logits as those of both steps. */
function stepsOf(inputs: Inputs, gradient: Float64Array, names: readonly [first: string, second: string]) {
  const [vocabulary] = inputs.shape('first_logits') as [number];
  return { [names[0]]: gradient.subarray(0, vocabulary), [names[1]]: gradient.subarray(vocabulary) };
}

function exact(inputs: Inputs, params: Params): Outcome {
  const [policy, reference] = [twoSteps(inputs), twoSteps(inputs, 'ref_')];
  const name = params.text('divergence', [...Object.keys(occupancyNames), 'estimator_expectations']);
  if (name !== 'estimator_expectations') {
    const { value, gradient, logprobs, referenceLogprobs } = tableOccupancy(occupancyNames[name]!, policy, reference);
    return {
      values: { loss: value, sequence_logps: logprobs, ref_sequence_logps: referenceLogprobs },
      grads: stepsOf(inputs, gradient, ['first_logits', 'second_logits']),
    };
  }
  const expected = expectedPathwise(policy, reference);
  const [chi2, kl] = [tableOccupancy('chi2', policy, reference), tableOccupancy('kl', policy, reference)];
  return {
    values: {
      mean_chi2_estimator: expected.chi2,
      mean_kl_estimator: expected.kl,
      chi2: chi2.value,
      kl: kl.value,
      ...stepsOf(inputs, expected.chi2Gradient, ['pathwise_chi2_first', 'pathwise_chi2_second']),
      ...stepsOf(inputs, chi2.gradient, ['grad_chi2_first', 'grad_chi2_second']),
      ...stepsOf(inputs, expected.klGradient, ['grad_kl_ref_pi_first', 'grad_kl_ref_pi_second']),
    },
  };
}

function bound(inputs: Inputs): Outcome {
  const found = correlationBound({
    policy: inputs.numbers('mu_pi').map(Math.log),
    reference: inputs.numbers('mu_ref').map(Math.log),
    trueRewards: inputs.numbers('true_reward'),
    proxyRewards: inputs.numbers('proxy_reward'),
  });
  const { correlation, chi2, coefficient } = found;
  return {
    values: {
      correlation,
      true_std: found.trueStd,
      proxy_std: found.proxyStd,
      chi2,
      lhs: found.trueGain,
      rhs: found.bound,
      coefficient,
    },
  };
}

export const variants: Variants = {
  sequence,
  discriminator_logistic: discriminator('logistic'),
  discriminator_tv: discriminator('tv'),
  discriminator_wasserstein: discriminator('wasserstein'),
  reward_kl: penalty('kl'),
  reward_chi2: penalty('chi2'),
  reward_sqrt_chi2: penalty('sqrt-chi2'),
  reward_tv: penalty('tv'),
  reward_wasserstein: penalty('wasserstein'),
  action_chi2: actions,
  exact,
  bound,
};
