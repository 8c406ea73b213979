import {
  expectedEstimate,
  forwardKl,
  type KlEstimator,
  logSoftmax,
  pearsonChi2,
  pullToLogits,
  reverseKl,
  type ScoreName,
  scoresOfLogits,
  tokenKl,
} from '@kelpie/objectives';
import type { Variants } from './case.js';
import { estimatorOf, gridOf } from './policy-rows.js';

/** Scores by the files' names; `js` is half of ours, the Jensen-Shannon divergence itself. */
const divergences: Readonly<Record<string, { readonly score: ScoreName; readonly scale: number }>> = {
  kl_ref_pi: { score: 'forwardKl', scale: 1 },
  kl_pi_ref: { score: 'reverseKl', scale: 1 },
  js: { score: 'js', scale: 0.5 },
  chi2: { score: 'pearsonChi2', scale: 1 },
};

const expected: Readonly<Record<string, KlEstimator>> = { k1: 'k1', k2: 'k2', k3: 'k3', k3_reversed: 'k3-swapped' };

export const variants: Variants = {
  estimator: (inputs, params) => {
    const { klEstimator, klClamp } = estimatorOf(params, 'estimator', 'k1');
    const { mean, values, meanSlopes } = tokenKl(
      gridOf(inputs, 'logps'),
      inputs.numbers('logps'),
      inputs.numbers('ref_logps'),
      klEstimator,
      klClamp,
    );
    return { values: { loss: mean, per_token: values }, grads: { logps: meanSlopes } };
  },
  exact: (inputs, params) => {
    const { score, scale } = divergences[params.text('divergence', Object.keys(divergences))]!;
    const logits = {
      ...gridOf(inputs, 'logits'),
      vocabulary: inputs.shape('logits')[2]!,
      logits: inputs.numbers('logits'),
      referenceLogits: inputs.numbers('ref_logits'),
    };
    const divergence = scoresOfLogits(logits, [score])[score]!.map((value) => scale * value);
    const cotangents = inputs.numbers('cot').map((weight) => scale * weight);
    const weights = inputs.numbers('cot');
    const loss = divergence.reduce((sum, d, at) => (logits.completionMask[at] ? sum + weights[at]! * d : sum), 0);
    return { values: { loss, divergence }, grads: { logits: pullToLogits(logits, { [score]: cotangents }) } };
  },
  expectation: (inputs) => {
    const [logp, logq] = [logSoftmax(inputs.numbers('logits')), logSoftmax(inputs.numbers('ref_logits'))];
    const estimates = Object.entries(expected).flatMap(([name, estimator]) => {
      const { mean, pathwiseGradient, scoreGradient } = expectedEstimate(estimator, logp, logq);
      return [
        [`mean_${name}`, mean],
        [`pathwise_grad_${name}`, pathwiseGradient],
        [`score_grad_${name}`, scoreGradient],
      ] as const;
    });
    const [toReference, fromReference] = [reverseKl.exact(logp, logq), forwardKl.exact(logp, logq)];
    return {
      values: {
        ...Object.fromEntries(estimates),
        kl_pi_ref: toReference.value,
        kl_ref_pi: fromReference.value,
        chi2_pi_ref: pearsonChi2.exact(logp, logq).value,
        grad_kl_pi_ref: toReference.gradient,
        grad_kl_ref_pi: fromReference.gradient,
      },
    };
  },
};
